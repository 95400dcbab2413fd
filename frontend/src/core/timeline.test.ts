import { describe, expect, it } from "vitest";
import { arrowTo, barOf, extentOf, type Span, type TimelineRow, timelineRows, timeScale } from "./timeline";

const T0 = Date.UTC(2026, 0, 1, 12);
const at = (ms: number) => new Date(T0 + ms).toISOString();
const ALL = { closed: new Set<string>(), keyOnly: false, find: "" };

function span(
  kind: Span["kind"],
  name: string,
  from: number,
  to: number | null,
  children: Span[] = [],
): Span {
  return {
    id: `${kind}:${name}`,
    kind,
    name,
    status: to === null ? "running" : "completed",
    started_at: at(from),
    ended_at: to === null ? null : at(to),
    attributes: kind === "step" ? { total_tokens: 12 } : {},
    children,
  };
}

const TRACE = span("run", "assistant", 0, 10_000, [
  span("step", "step 1", 0, 1_000, [span("model", "demo", 0, 600), span("tool", "search", 600, 1_000)]),
  span("step", "step 2", 9_000, 10_000, [span("model", "other", 9_000, 10_000)]),
]);
const names = (rows: readonly TimelineRow[]) => rows.map(({ name }) => name);

describe("timelineRows", () => {
  it("lists spans in their order, with depth, step and parent", () => {
    const rows = timelineRows(TRACE, ALL);
    expect(names(rows)).toEqual(["assistant", "step 1", "demo", "search", "step 2", "other"]);
    expect(rows.map(({ depth }) => depth)).toEqual([0, 1, 2, 2, 1, 2]);
    expect(rows.map(({ step }) => step)).toEqual([null, 1, 1, 1, 2, 2]);
    expect(rows[3]?.parentId).toBe("step:step 1");
    expect(rows[1]).toMatchObject({
      tokens: 12,
      startMs: T0,
      endMs: T0 + 1_000,
      hasChildren: true,
      open: true,
    });
  });

  it("hides what is below a closed row", () => {
    const rows = timelineRows(TRACE, { ...ALL, closed: new Set(["step:step 1"]) });
    expect(names(rows)).toEqual(["assistant", "step 1", "step 2", "other"]);
    expect(rows[1]?.open).toBe(false);
  });

  it("leaves model calls out of the key steps", () => {
    const rows = timelineRows(TRACE, { ...ALL, keyOnly: true });
    expect(names(rows)).toEqual(["assistant", "step 1", "search", "step 2"]);
    expect(rows[3]?.hasChildren).toBe(false);
  });

  it("finds a row with what leads to it and what is below it, closed or not", () => {
    const closed = new Set(["step:step 1", "step:step 2"]);
    expect(names(timelineRows(TRACE, { ...ALL, closed, find: "SEARCH" }))).toEqual([
      "assistant",
      "step 1",
      "search",
    ]);
    expect(names(timelineRows(TRACE, { ...ALL, find: "step 2" }))).toEqual(["assistant", "step 2", "other"]);
    expect(timelineRows(TRACE, { ...ALL, find: "nothing like it" })).toEqual([]);
  });

  it("takes the end of a span from its duration where it has no other", () => {
    const rows = timelineRows({ ...span("run", "r", 0, null), duration_ms: 500 }, ALL);
    expect(rows[0]?.endMs).toBe(T0 + 500);
  });

  it("copes with ten thousand steps", () => {
    const many = Array.from({ length: 10_000 }, (_, i) => span("step", `step ${i + 1}`, i, i + 1));
    expect(timelineRows(span("run", "r", 0, 10_000, many), ALL)).toHaveLength(10_001);
  });
});

describe("extentOf", () => {
  it("reaches from the first start to the last end", () => {
    expect(extentOf(timelineRows(TRACE, ALL), T0 + 99_000)).toEqual({ fromMs: T0, toMs: T0 + 10_000 });
  });

  it("reaches to now while a step runs, but not while a run only rests", () => {
    const live = span("run", "r", 0, null, [span("step", "step 1", 0, null)]);
    const resting = span("run", "r", 0, null, [span("step", "step 1", 0, 1_000)]);
    expect(extentOf(timelineRows(live, ALL), T0 + 5_000)?.toMs).toBe(T0 + 5_000);
    expect(extentOf(timelineRows(resting, ALL), T0 + 5_000)?.toMs).toBe(T0 + 1_000);
  });

  it("is nothing before anything has begun", () => {
    expect(extentOf(timelineRows({ ...span("run", "r", 0, null), started_at: null }, ALL), T0)).toBeNull();
  });
});

describe("timeScale", () => {
  const rows = timelineRows(TRACE, ALL);
  const window = { fromMs: T0, toMs: T0 + 10_000 };

  it("is even where idle time is not shortened", () => {
    const scale = timeScale(rows, window, T0, false);
    expect([scale.at(T0), scale.at(T0 + 5_000), scale.at(T0 + 10_000)]).toEqual([0, 0.5, 1]);
    expect(scale.gaps).toEqual([]);
  });

  it("shortens a long idle time, says so, and keeps the order", () => {
    const scale = timeScale(rows, window, T0, true);
    expect(scale.gaps).toHaveLength(1);
    expect(scale.gaps[0]?.ms).toBe(8_000);
    expect(scale.at(T0 + 9_000) - scale.at(T0 + 1_000)).toBeLessThan(0.05);
    const places = [0, 500, 1_000, 4_000, 9_000, 9_500, 10_000].map((ms) => scale.at(T0 + ms));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect([places[0], places.at(-1)]).toEqual([0, 1]);
  });

  it("shortens nothing where all is busy", () => {
    const busy = timelineRows(span("run", "r", 0, 100, [span("step", "step 1", 0, 100)]), ALL);
    expect(timeScale(busy, { fromMs: T0, toMs: T0 + 100 }, T0, true).gaps).toEqual([]);
  });
});

describe("barOf", () => {
  const window = { fromMs: T0, toMs: T0 + 1_000 };
  const scale = timeScale([], window, T0, false);
  const row = (from: number, to: number | null) =>
    timelineRows(span("step", "step 1", from, to), ALL)[0] as TimelineRow;

  it("is cut at the window's ends, and none outside", () => {
    expect(barOf(row(250, 500), scale, window, T0)).toEqual({ from: 0.25, to: 0.5 });
    expect(barOf(row(-500, 2_000), scale, window, T0)).toEqual({ from: 0, to: 1 });
    expect(barOf(row(2_000, 3_000), scale, window, T0)).toBeNull();
  });

  it("grows to now while the step runs", () => {
    expect(barOf(row(0, null), scale, window, T0 + 400)).toEqual({ from: 0, to: 0.4 });
    expect(barOf({ ...row(0, null), startMs: null }, scale, window, T0)).toBeNull();
  });
});

describe("arrowTo", () => {
  const rows = timelineRows(TRACE, ALL);
  const step = "step:step 1";

  it("goes up and down, and stays at the ends", () => {
    expect(arrowTo(rows, step, "ArrowDown")).toEqual({ go: "model:demo" });
    expect(arrowTo(rows, step, "k")).toEqual({ go: "run:assistant" });
    expect(arrowTo(rows, "run:assistant", "ArrowUp")).toEqual({ go: "run:assistant" });
    expect(arrowTo(rows, step, "End")).toEqual({ go: "model:other" });
    expect(arrowTo(rows, null, "j")).toEqual({ go: "run:assistant" });
  });

  it("opens and closes, and goes in and out", () => {
    const closed = timelineRows(TRACE, { ...ALL, closed: new Set([step]) });
    expect(arrowTo(rows, step, "ArrowLeft")).toEqual({ toggle: step });
    expect(arrowTo(closed, step, "ArrowRight")).toEqual({ toggle: step });
    expect(arrowTo(rows, step, "ArrowRight")).toEqual({ go: "model:demo" });
    expect(arrowTo(rows, "tool:search", "ArrowLeft")).toEqual({ go: step });
    expect(arrowTo(rows, "tool:search", "ArrowRight")).toBeNull();
  });

  it("leaves other keys alone", () => {
    expect(arrowTo(rows, step, "x")).toBeNull();
    expect(arrowTo([], null, "ArrowDown")).toBeNull();
  });
});
