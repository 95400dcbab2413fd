/** What differs between two JSON values, place by place. Pure. */

import { isObject } from "./shape";

export interface Difference {
  /** JSON pointer (RFC 6901); empty: the whole value. */
  readonly pointer: string;
  readonly kind: "added" | "removed" | "changed";
  readonly before: unknown;
  readonly after: unknown;
}

export function pointerOf(path: readonly (string | number)[]): string {
  return path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/** Lists are compared place by place: the states of a run grow at their end. */
export function jsonDiff(before: unknown, after: unknown): readonly Difference[] {
  const found: Difference[] = [];
  compare(before, after, [], found);
  return found;
}

function compare(
  before: unknown,
  after: unknown,
  path: readonly (string | number)[],
  found: Difference[],
): void {
  if (Object.is(before, after)) return;
  if (Array.isArray(before) && Array.isArray(after)) {
    for (let i = 0; i < Math.max(before.length, after.length); i += 1)
      compare(before[i], after[i], [...path, i], found);
    return;
  }
  if (isObject(before) && isObject(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compare(before[key], after[key], [...path, key], found);
    }
    return;
  }
  const kind = before === undefined ? "added" : after === undefined ? "removed" : "changed";
  found.push({ pointer: pointerOf(path), kind, before, after });
}

/** Says whether two JSON values say the same, whatever the order of their keys. */
export function sameJson(a: unknown, b: unknown): boolean {
  return jsonDiff(a, b).length === 0;
}
