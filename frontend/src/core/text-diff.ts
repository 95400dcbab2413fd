/** What differs between two texts, word by word. */

import { diffWordsWithSpace } from "diff";

export interface TextPiece {
  readonly kind: "same" | "added" | "removed";
  readonly text: string;
}

/** Beyond this many characters together the texts are shown whole, one after the other: words would take seconds. */
const LIMIT = 60_000;

export function textDiff(before: string, after: string): readonly TextPiece[] {
  if (before === after) return before === "" ? [] : [{ kind: "same", text: before }];
  const whole: readonly TextPiece[] = [
    { kind: "removed", text: before },
    { kind: "added", text: after },
  ];
  const parts = before.length + after.length > LIMIT ? undefined : diffWordsWithSpace(before, after);
  const pieces = parts?.map(
    ({ value, added, removed }): TextPiece => ({
      kind: added ? "added" : removed ? "removed" : "same",
      text: value,
    }),
  );
  return (pieces ?? whole).filter(({ text }) => text !== "");
}
