import { useState } from "react";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "agio.theme";

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return THEMES.find((theme) => theme === value) ?? "system";
  } catch {
    return "system"; // storage is closed to this page: the choice lasts until reload
  }
}

/** Puts the stored choice on the document; called before the first paint. */
export function applyTheme(theme: Theme = stored()): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function useTheme(): { theme: Theme; next(): void } {
  const [theme, setTheme] = useState<Theme>(stored);
  function next(): void {
    const following = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "system";
    setTheme(following);
    applyTheme(following);
    try {
      localStorage.setItem(KEY, following);
    } catch {
      // as above
    }
  }
  return { theme, next };
}
