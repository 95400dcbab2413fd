/** The waterfall's rows and their place in time. Pure. */

import type { Schemas } from "./client";

export type Span = Schemas["Span"];

export interface TimelineRow {
  readonly id: string;
  readonly depth: number;
  readonly kind: Span["kind"];
  readonly name: string;
  readonly status: string;
  /** Number of the step that the row is, or belongs to; null for the run. */
  readonly step: number | null;
  /** Milliseconds since 1970; null while unknown. */
  readonly startMs: number | null;
  /** Null while it runs. */
  readonly endMs: number | null;
  /** As the server measured it; null: as long as it lasts, or what lies between its ends. */
  readonly ms: number | null;
  readonly tokens: number | null;
  readonly cost: number | null;
  readonly hasChildren: boolean;
  readonly open: boolean;
  readonly parentId: string | null;
}

export interface TimelineView {
  /** Ids of rows whose children are hidden. */
  readonly closed: ReadonlySet<string>;
  /** Leaves out model calls: they say what their step says. */
  readonly keyOnly: boolean;
  /** Keeps rows whose name, kind or status has this text, and what leads to them. */
  readonly find: string;
}

const instant = (iso: string | null | undefined): number | null => {
  const ms = iso ? Date.parse(iso) : Number.NaN;
  return Number.isNaN(ms) ? null : ms;
};

const numberOf = (value: unknown): number | null => (typeof value === "number" ? value : null);

function endOf(span: Span): number | null {
  const end = instant(span.ended_at);
  const start = instant(span.started_at);
  return end ?? (start !== null && typeof span.duration_ms === "number" ? start + span.duration_ms : null);
}

function usageOf({ attributes = {} }: Span): Readonly<Record<string, unknown>> {
  const nested = attributes.usage ?? attributes.metrics;
  return typeof nested === "object" && nested !== null ? { ...attributes, ...nested } : attributes;
}

/** Returns the rows of a trace in the order in which they are shown. Iterative: traces are as deep as runs nest. */
export function timelineRows(root: Span, view: TimelineView): readonly TimelineRow[] {
  const kept = view.find.trim() === "" ? null : matching(root, view.find.trim().toLowerCase());
  const rows: TimelineRow[] = [];
  const waiting: { span: Span; depth: number; step: number | null; parentId: string | null }[] = [
    { span: root, depth: 0, step: null, parentId: null },
  ];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { span, depth, parentId } = next;
    if (kept !== null && !kept.has(span.id)) continue;
    const step = stepNumber(span) ?? next.step;
    const children = (span.children ?? []).filter(({ kind }) => !(view.keyOnly && kind === "model"));
    const open = kept !== null || !view.closed.has(span.id);
    const usage = usageOf(span);
    rows.push({
      id: span.id,
      depth,
      kind: span.kind,
      name: span.name,
      status: span.status,
      step,
      startMs: instant(span.started_at),
      endMs: endOf(span),
      ms: span.ended_at ? numberOf(span.duration_ms) : null,
      tokens: numberOf(usage.total_tokens),
      cost: numberOf(usage.cost),
      hasChildren: children.length > 0,
      open,
      parentId,
    });
    if (!open) continue;
    for (const child of [...children].reverse())
      waiting.push({ span: child, depth: depth + 1, step, parentId: span.id });
  }
  return rows;
}

/** Returns the number of the step that a span is, or belongs to; null: it is none, or not there. */
export function stepOfSpan(root: Span, id: string, within: number | null = null): number | null {
  const step = stepNumber(root) ?? within;
  if (root.id === id) return step;
  for (const child of root.children ?? []) {
    const found = stepOfSpan(child, id, step);
    if (found !== null) return found;
  }
  return null;
}

function stepNumber({ kind, name, attributes = {} }: Span): number | null {
  if (kind !== "step") return null;
  const digits = /(\d+)$/.exec(name)?.[1];
  return numberOf(attributes.step) ?? (digits === undefined ? null : Number(digits));
}

/** Ids of the spans that have the text, their ancestors and what is below them. */
function matching(root: Span, text: string): ReadonlySet<string> {
  const kept = new Set<string>();
  const visit = (span: Span, above: readonly Span[], inside: boolean): void => {
    const hit = inside || `${span.kind} ${span.name} ${span.status}`.toLowerCase().includes(text);
    if (hit) for (const { id } of [...above, span]) kept.add(id);
    const path = [...above, span];
    for (const child of span.children ?? []) visit(child, path, hit && span !== root);
  };
  visit(root, [], false);
  return kept;
}

export interface TimeWindow {
  readonly fromMs: number;
  readonly toMs: number;
}

/** From the first start to the last end; what still runs reaches to `nowMs`. Null before anything has begun. */
export function extentOf(rows: readonly TimelineRow[], nowMs: number): TimeWindow | null {
  let fromMs = Number.POSITIVE_INFINITY;
  let toMs = Number.NEGATIVE_INFINITY;
  for (const { startMs, endMs, kind } of rows) {
    if (startMs === null) continue;
    fromMs = Math.min(fromMs, startMs);
    // The run's own bar is as long as what is in it, but for the time that it rests.
    if (kind !== "run" || endMs !== null) toMs = Math.max(toMs, endMs ?? nowMs);
    else toMs = Math.max(toMs, startMs);
  }
  return fromMs > toMs ? null : { fromMs, toMs: Math.max(toMs, fromMs + 1) };
}

/** A monotonic map from time to the width of the chart, 0 to 1, with long idle times shortened. */
export interface TimeScale {
  at(ms: number): number;
  /** Where time was taken out, 0 to 1, and how much. */
  readonly gaps: readonly { readonly at: number; readonly ms: number }[];
}

interface Piece {
  readonly fromMs: number;
  readonly toMs: number;
  readonly weight: number;
  readonly gap: boolean;
}

/** A gap keeps this part of the busy time. */
const GAP_SHARE = 0.04;
/** An idle time counts as a gap when it is this part of the busy time, or more. */
const GAP_FLOOR = 0.15;

export function timeScale(
  rows: readonly TimelineRow[],
  window: TimeWindow,
  nowMs: number,
  collapse: boolean,
): TimeScale {
  const pieces = collapse ? cut(rows, window, nowMs) : [];
  if (!pieces.some(({ gap }) => gap)) return linear(window);
  const total = pieces.reduce((sum, { weight }) => sum + weight, 0);
  let before = 0;
  const placed = pieces.map((piece) => {
    const from = before / total;
    before += piece.weight;
    return { ...piece, from, to: before / total };
  });
  return {
    at(ms) {
      const inside = placed.find(({ toMs }) => ms <= toMs) ?? placed.at(-1);
      if (inside === undefined) return 0;
      const part = (ms - inside.fromMs) / Math.max(1, inside.toMs - inside.fromMs);
      return inside.from + Math.min(1, Math.max(0, part)) * (inside.to - inside.from);
    },
    gaps: placed
      .filter(({ gap }) => gap)
      .map(({ from, to, fromMs, toMs }) => ({ at: (from + to) / 2, ms: toMs - fromMs })),
  };
}

function linear({ fromMs, toMs }: TimeWindow): TimeScale {
  return { at: (ms) => Math.min(1, Math.max(0, (ms - fromMs) / (toMs - fromMs))), gaps: [] };
}

/** Cuts the window into busy and idle pieces; short idle times stay part of the busy ones. */
function cut(rows: readonly TimelineRow[], window: TimeWindow, nowMs: number): readonly Piece[] {
  const busy = rows
    .filter(({ kind, startMs }) => kind !== "run" && startMs !== null)
    .map(({ startMs, endMs }) => ({ fromMs: startMs ?? 0, toMs: endMs ?? nowMs }))
    .filter(({ fromMs, toMs }) => toMs >= window.fromMs && fromMs <= window.toMs)
    .sort((a, b) => a.fromMs - b.fromMs);
  const merged: { fromMs: number; toMs: number }[] = [];
  for (const span of busy) {
    const last = merged.at(-1);
    if (last !== undefined && span.fromMs <= last.toMs) last.toMs = Math.max(last.toMs, span.toMs);
    else merged.push({ ...span });
  }
  const work = merged.reduce((sum, { fromMs, toMs }) => sum + (toMs - fromMs), 0) || 1;
  const pieces: Piece[] = [];
  let fromMs = window.fromMs;
  const add = (toMs: number, gap: boolean) => {
    if (toMs > fromMs) pieces.push({ fromMs, toMs, gap, weight: gap ? work * GAP_SHARE : toMs - fromMs });
    fromMs = Math.max(fromMs, toMs);
  };
  for (const span of merged) {
    add(span.fromMs, span.fromMs - fromMs > work * GAP_FLOOR);
    add(Math.min(span.toMs, window.toMs), false);
  }
  add(window.toMs, false);
  return pieces;
}

/** Where a row's bar lies, in parts of the chart's width; null when it has not begun or lies outside. */
export function barOf(
  row: TimelineRow,
  scale: TimeScale,
  window: TimeWindow,
  nowMs: number,
): { readonly from: number; readonly to: number } | null {
  if (row.startMs === null) return null;
  const endMs = row.endMs ?? Math.min(nowMs, window.toMs);
  if (endMs < window.fromMs || row.startMs > window.toMs) return null;
  return { from: scale.at(Math.max(row.startMs, window.fromMs)), to: scale.at(Math.min(endMs, window.toMs)) };
}

/** What arrow keys do in the tree-grid: the row to go to, or the row to open or close. */
export function arrowTo(
  rows: readonly TimelineRow[],
  currentId: string | null,
  key: string,
): { readonly go: string } | { readonly toggle: string } | null {
  const index = rows.findIndex(({ id }) => id === currentId);
  const row = rows[index];
  const to = (at: number) => {
    const target = rows[Math.min(rows.length - 1, Math.max(0, at))];
    return target === undefined ? null : { go: target.id };
  };
  switch (key) {
    case "ArrowDown":
    case "j":
      return to(index + 1);
    case "ArrowUp":
    case "k":
      return to(index < 0 ? 0 : index - 1);
    case "Home":
      return to(0);
    case "End":
      return to(rows.length - 1);
    case "ArrowRight":
      if (row?.hasChildren !== true) return null;
      return row.open ? to(index + 1) : { toggle: row.id };
    case "ArrowLeft":
      if (row === undefined) return null;
      if (row.hasChildren && row.open) return { toggle: row.id };
      return row.parentId === null ? null : { go: row.parentId };
    default:
      return null;
  }
}
