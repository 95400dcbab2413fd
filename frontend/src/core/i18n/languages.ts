/** Languages that there is a catalogue for, as they call themselves. */

export const LANGUAGE_NAMES = { en: "English", de: "Deutsch" } as const;

export type Language = keyof typeof LANGUAGE_NAMES;
