/** What the compare page shows of two runs. Pure. */

import type { Schemas } from "./client";
import { sameJson } from "./json-diff";

export type Comparison = Schemas["CompareView"];
export type ComparedStep = Schemas["CompareRow"];

/** The step of the next row that differs, after `from`; goes round at the end. Null when nothing differs. */
export function nextDifference(rows: readonly ComparedStep[], from: number | null): number | null {
  const different = rows.filter(({ kind }) => kind !== "same").map(({ step }) => step);
  if (different.length === 0) return null;
  return different.find((step) => from !== null && step > from) ?? different[0] ?? null;
}

export interface ConfigurationChange {
  readonly field: string;
  readonly a: unknown;
  readonly b: unknown;
}

const CONFIGURATION = ["agent_id", "agent_version", "model", "tags", "metadata"] as const;

/** What the two runs were started with differently. */
export function configurationChanges({ a, b }: Comparison): readonly ConfigurationChange[] {
  return CONFIGURATION.filter((field) => !sameJson(a[field], b[field])).map((field) => ({
    field,
    a: a[field],
    b: b[field],
  }));
}

/** 12 → "+12", −3 → "−3", 0 → "±0". */
export function signed(n: number, text: (absolute: number) => string): string {
  if (n === 0) return "±0";
  return `${n > 0 ? "+" : "−"}${text(Math.abs(n))}`;
}
