/** Runs as bars in time, by conversation. Pure. */

import type { Schemas } from "./client";
import { barOf, extentOf, type TimelineRow, timeScale } from "./timeline";

export type TracedRun = Schemas["RunRow"];

export interface TraceLine {
  readonly run: TracedRun;
  /** How many forks lead to it from the first run that is shown. */
  readonly depth: number;
  /** Parts of the group's width; null before it has begun. */
  readonly bar: { readonly from: number; readonly to: number } | null;
}

export interface TraceGroup {
  readonly sessionId: string;
  readonly lines: readonly TraceLine[];
  /** Milliseconds from the first start to the last end; null before anything has begun. */
  readonly spanMs: number | null;
  readonly tokens: number;
  readonly cost: number;
}

function rowOf(run: TracedRun, depth: number): TimelineRow {
  const start = run.started_at ?? null;
  return {
    id: run.id,
    depth,
    kind: "step",
    name: run.preview,
    status: run.status,
    step: null,
    startMs: start === null ? null : Date.parse(start),
    endMs: run.ended_at ? Date.parse(run.ended_at) : null,
    ms: null,
    tokens: null,
    cost: null,
    hasChildren: false,
    open: false,
    parentId: run.parent?.run_id ?? null,
  };
}

/** Oldest first, forks below what they were forked from. */
function ordered(runs: readonly TracedRun[]): readonly TimelineRow[] {
  const sorted = [...runs].sort((a, b) => a.created_at.localeCompare(b.created_at));
  const here = new Set(sorted.map(({ id }) => id));
  const rows: TimelineRow[] = [];
  const add = (parent: string | null, depth: number): void => {
    for (const run of sorted) {
      const above = run.parent?.run_id ?? null;
      const top = above === null || !here.has(above);
      if (parent === null ? !top : above !== parent || top) continue;
      rows.push(rowOf(run, depth));
      add(run.id, depth + 1);
    }
  };
  add(null, 0);
  return rows;
}

/** Returns the conversations in the order of their newest run. Long idle times between runs are shortened. */
export function traceGroups(runs: readonly TracedRun[], nowMs: number): readonly TraceGroup[] {
  const bySession = new Map<string, TracedRun[]>();
  for (const run of runs) bySession.set(run.session_id, [...(bySession.get(run.session_id) ?? []), run]);
  return [...bySession].map(([sessionId, members]) => {
    const rows = ordered(members);
    const window = extentOf(rows, nowMs);
    const scale = window === null ? null : timeScale(rows, window, nowMs, true);
    const byId = new Map(members.map((run) => [run.id, run]));
    return {
      sessionId,
      lines: rows.flatMap((row) => {
        const run = byId.get(row.id);
        if (run === undefined) return [];
        const bar = scale === null || window === null ? null : barOf(row, scale, window, nowMs);
        return [{ run, depth: row.depth, bar }];
      }),
      spanMs: window === null ? null : window.toMs - window.fromMs,
      tokens: sum(members, ({ metrics }) => metrics.total_tokens),
      cost: sum(members, ({ metrics }) => metrics.cost),
    };
  });
}

function sum(runs: readonly TracedRun[], value: (run: TracedRun) => number | null | undefined): number {
  return runs.reduce((total, run) => total + (value(run) ?? 0), 0);
}
