/** What a person has chosen for this browser: looks, language, keys. */

import type { KeyStorage } from "./credentials";
import { isObject, parseJson } from "./shape";

export const THEMES = ["system", "light", "dark"] as const;
export const CONTRASTS = ["system", "more"] as const;
export const LANGUAGES = ["en", "de"] as const;
export const DENSITIES = ["comfy", "dense"] as const;

export interface Prefs {
  readonly theme: (typeof THEMES)[number];
  readonly contrast: (typeof CONTRASTS)[number];
  readonly language: (typeof LANGUAGES)[number];
  readonly density: (typeof DENSITIES)[number];
  /** Single keys are shortcuts. */
  readonly singleKeys: boolean;
}

const NAME = "agio.prefs";

const oneOf = <T extends string>(all: readonly T[], value: unknown, fallback: T): T =>
  all.find((one) => one === value) ?? fallback;

/** Reads what is stored; anything else is the default. */
export function readPrefs(text: string | null, languages: readonly string[] = []): Prefs {
  const stored = text === null ? undefined : parseJson(text);
  const fields = isObject(stored) ? stored : {};
  const wanted = languages
    .map((one) => one.slice(0, 2))
    .find((one) => LANGUAGES.some((known) => known === one));
  return {
    theme: oneOf(THEMES, fields.theme, "system"),
    contrast: oneOf(CONTRASTS, fields.contrast, "system"),
    language: oneOf(LANGUAGES, fields.language, oneOf(LANGUAGES, wanted, "en")),
    density: oneOf(DENSITIES, fields.density, "comfy"),
    singleKeys: fields.singleKeys !== false,
  };
}

export class PrefsStore {
  private current: Prefs;
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly storage: KeyStorage | null,
    languages: readonly string[] = [],
  ) {
    this.current = readPrefs(this.stored(), languages);
  }

  readonly snapshot = (): Prefs => this.current;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  change(changes: Partial<Prefs>): void {
    this.current = { ...this.current, ...changes };
    try {
      this.storage?.setItem(NAME, JSON.stringify(this.current));
    } catch {
      // Storage is closed to this page: the choice lasts until reload.
    }
    for (const listener of this.listeners) listener();
  }

  private stored(): string | null {
    try {
      return this.storage?.getItem(NAME) ?? null;
    } catch {
      return null;
    }
  }
}
