import { describe, expect, it } from "vitest";
import { type TracedRun, traceGroups } from "./trace-groups";

const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 12, 0, second)).toISOString();
const NOW = Date.parse(at(100));

function run(id: string, session: string, from: number, to: number | null, parent?: string): TracedRun {
  return {
    id,
    session_id: session,
    status: to === null ? "running" : "completed",
    preview: id,
    created_at: at(from),
    started_at: at(from),
    ended_at: to === null ? null : at(to),
    parent: parent === undefined ? null : { run_id: parent, kind: "fork", checkpoint_id: "c" },
    metrics: { total_tokens: 10, cost: 0.5 },
  } as unknown as TracedRun;
}

describe("runs by conversation", () => {
  it("keeps the order of the newest, and sums up", () => {
    const groups = traceGroups(
      [run("b", "two", 50, 60), run("a", "one", 10, 20), run("c", "two", 5, 9)],
      NOW,
    );
    expect(groups.map(({ sessionId }) => sessionId)).toEqual(["two", "one"]);
    expect(groups[0]).toMatchObject({ tokens: 20, cost: 1, spanMs: 55_000 });
  });

  it("puts the oldest first, and forks below what they came from", () => {
    const [group] = traceGroups(
      [
        run("late", "s", 40, 50),
        run("fork", "s", 60, 70, "first"),
        run("first", "s", 10, 20),
        run("deep", "s", 80, 90, "fork"),
      ],
      NOW,
    );
    expect(group?.lines.map(({ run: { id }, depth }) => `${id} ${depth}`)).toEqual([
      "first 0",
      "fork 1",
      "deep 2",
      "late 0",
    ]);
  });

  it("shows a fork whose parent is not here as one of its own", () => {
    const [group] = traceGroups([run("fork", "s", 10, 20, "elsewhere")], NOW);
    expect(group?.lines).toMatchObject([{ depth: 0, bar: { from: 0, to: 1 } }]);
  });

  it("gives each run its place in the time of the conversation; what runs reaches to now", () => {
    const [group] = traceGroups([run("a", "s", 0, 50), run("b", "s", 50, null)], NOW);
    expect(group?.lines.map(({ bar }) => bar)).toEqual([
      { from: 0, to: 0.5 },
      { from: 0.5, to: 1 },
    ]);
  });

  it("shortens the idle time between runs", () => {
    const [group] = traceGroups([run("a", "s", 0, 5), run("b", "s", 90, 95)], NOW);
    const [a, b] = group?.lines ?? [];
    expect(a?.bar?.to).toBeGreaterThan(0.4);
    expect(b?.bar?.from).toBeLessThan(0.6);
  });

  it("has no bar for what has not begun", () => {
    const queued = { ...run("a", "s", 0, null), started_at: null } as TracedRun;
    const [group] = traceGroups([queued], NOW);
    expect(group).toMatchObject({ spanMs: null, lines: [{ bar: null }] });
  });

  it("is nothing without runs", () => {
    expect(traceGroups([], NOW)).toEqual([]);
  });
});
