/** The selection in the browser's address bar and history. */

import { type Selection, sameSelection, searchOf, selectionOf } from "../../core/selection";

export function currentSelection(): Selection {
  return selectionOf(window.location.search);
}

export function showSelection(selection: Selection, how: "push" | "replace"): void {
  if (sameSelection(selection, currentSelection())) return;
  const url = `${window.location.pathname}${searchOf(selection)}`;
  if (how === "push") window.history.pushState(null, "", url);
  else window.history.replaceState(null, "", url);
}

/** Calls back when the person goes back or forward; returns how to stop that. */
export function onTravel(go: (selection: Selection) => void): () => void {
  const listener = () => go(currentSelection());
  window.addEventListener("popstate", listener);
  return () => window.removeEventListener("popstate", listener);
}
