/** The catalogue's type: English is its source, every other language has the same entries. */

import type { en } from "./en";
import type { Language } from "./languages";

type Widened<T> = T extends string
  ? string
  : T extends (...args: infer A) => string
    ? (...args: A) => string
    : { readonly [K in keyof T]: Widened<T[K]> };

export type Words = Widened<typeof en>;

/** English is part of the page; others come when they are chosen. */
export async function loadWords(language: Language): Promise<Words> {
  if (language === "de") return (await import("./de")).de;
  return (await import("./en")).en;
}
