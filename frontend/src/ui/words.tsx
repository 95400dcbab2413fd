import { createContext, useContext } from "react";
import { en } from "../core/i18n/en";
import type { Words } from "../core/i18n/words";

const Language = createContext<Words>(en);

export const WordsProvider = Language.Provider;

/** The texts of the page in the language that the person reads. */
export function useWords(): Words {
  return useContext(Language);
}
