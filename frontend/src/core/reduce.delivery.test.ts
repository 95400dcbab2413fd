import { describe, expect, it } from "vitest";
import { decoded, numbered, type WireEvent } from "../testing/wire";
import { decodeEvent, type RunEvent } from "./events";
import { applyEvents } from "./reduce";
import { newRunState, type RunState, type ThreadItem } from "./run-state";

function play(...events: WireEvent[]): RunState {
  return applyEvents(newRunState("r1"), decoded(events));
}

const STARTED = {
  type: "run_started",
  session_id: "s1",
  branch_id: "b1",
  agent_id: "assistant",
  model: "demo",
  attempt: 1,
};
const content = (text: string, message_id = "m1") => ({
  type: "content_delta",
  step: 1,
  message_id,
  content: text,
});
const reasoning = (text: string, message_id = "m1") => ({
  ...content(text, message_id),
  type: "reasoning_delta",
});
const checkpoint = (checkpoint_id: string) => ({
  type: "checkpoint_created",
  checkpoint_id,
  step: 1,
  branch_id: "b1",
});
const toolStarted = (tool_call_id = "c1") => ({
  type: "tool_call_started",
  step: 1,
  tool_call_id,
  name: "search",
  arguments: { query: "x" },
});
const METRICS = { steps: 2, prompt_tokens: 10, completion_tokens: 5, total_tokens: 15, duration_ms: 900 };

function texts(items: readonly ThreadItem[]): string[] {
  return items.map((item) => {
    if (item.kind === "notice" && item.phrase !== undefined) return `notice: ${JSON.stringify(item.phrase)}`;
    return "text" in item ? `${item.kind}: ${item.text}` : `${item.kind}: ${item.name}`;
  });
}

describe("an in-place restore", () => {
  const story = [
    STARTED,
    content("One"),
    checkpoint("k1"),
    content("Two", "m2"),
    { type: "run_completed", response: "Two", metrics: METRICS },
  ];
  const restored = { type: "run_restored", attempt: 2, from_checkpoint_id: "k1", by: "ann" };

  it("takes back what came after the checkpoint and reopens the run", () => {
    const state = play(...story, restored, content("Three", "m3"));
    expect(texts(state.items)).toEqual([
      "message: One",
      'notice: {"kind":"restored","by":"ann"}',
      "message: Three",
    ]);
    expect(state).toMatchObject({ status: "running", attempt: 2, endedAt: null, lastSeq: 7 });
  });

  it("to a checkpoint of another run takes back everything", () => {
    const state = play(...story, { ...restored, from_checkpoint_id: "elsewhere" });
    expect(texts(state.items)).toEqual(['notice: {"kind":"restored","by":"ann"}']);
  });
});

describe("delivery", () => {
  const story = decoded([
    STARTED,
    reasoning("Hm"),
    content("Hel"),
    content("lo"),
    toolStarted(),
    { type: "tool_call_completed", tool_call_id: "c1", name: "search", result: "42" },
    checkpoint("k1"),
    { type: "warning", message: "slow" },
    { type: "run_completed", response: "Hello", metrics: METRICS },
  ]);
  const whole = applyEvents(newRunState("r1"), story);

  it("of an event that was applied before changes nothing", () => {
    expect(applyEvents(whole, story)).toBe(whole);
  });

  it("may be cut anywhere and overlap by any number of events", () => {
    for (let cut = 0; cut <= story.length; cut += 1) {
      for (let overlap = 0; overlap <= cut; overlap += 1) {
        const first = applyEvents(newRunState("r1"), story.slice(0, cut));
        expect(applyEvents(first, story.slice(cut - overlap))).toEqual(whole);
      }
    }
  });

  it("leaves the items that an event does not touch as they are", () => {
    const before = applyEvents(newRunState("r1"), story.slice(0, 6));
    const after = applyEvents(before, story.slice(6, 8));
    expect(after.items[0]).toBe(before.items[0]);
    expect(after.items[1]).toBe(before.items[1]);
  });

  it("of a compacted message counts the covered ids as seen", () => {
    const [compacted] = numbered([{ ...content("Hello"), compacted: { through_seq: 4 } }], 2);
    const events = [...decoded([STARTED]), decodeEvent("content_delta", compacted) as RunEvent];
    const state = applyEvents(newRunState("r1"), events);
    expect(state).toMatchObject({ lastSeq: 4, items: [{ text: "Hello" }] });
    expect(applyEvents(state, decoded([content("lo")], 4))).toBe(state);
  });

  it("of a compacted message replaces the part that was known", () => {
    const part = applyEvents(newRunState("r1"), decoded([STARTED, content("Hel")]));
    const compacted = numbered([{ ...content("Hello"), compacted: { through_seq: 4 } }], 2)[0];
    const state = applyEvents(part, [decodeEvent("content_delta", compacted) as RunEvent]);
    expect(state.items).toMatchObject([{ text: "Hello" }]);
  });

  it("of ten thousand deltas keeps one item per message", () => {
    const many = Array.from({ length: 10_000 }, (_, n) => content(`w${n} `, `m${n % 50}`));
    const state = play(STARTED, ...many);
    expect(state.items).toHaveLength(50);
    expect(state.lastSeq).toBe(10_001);
  });
});
