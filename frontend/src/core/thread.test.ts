import { describe, expect, it } from "vitest";
import { decoded, type WireEvent } from "../testing/wire";
import { applyEvents } from "./reduce";
import { newRunState, type RunState, type ThreadItem } from "./run-state";
import { shapedList } from "./shape";
import { freeze, historyItems, historyOf, messagesBefore, threadOf, typedQuestion } from "./thread";
import { MESSAGE, type MessageView } from "./views";

function messages(...rows: Record<string, unknown>[]): readonly MessageView[] {
  return shapedList(MESSAGE, rows);
}

function run(...events: WireEvent[]): RunState {
  return applyEvents(newRunState("r2"), decoded(events));
}

function lines(items: readonly ThreadItem[]): string[] {
  return items.map((item) => {
    if (item.kind === "message") return `${item.role}: ${item.text}`;
    return item.kind === "tool" ? `tool: ${item.name} → ${String(item.result)}` : item.kind;
  });
}

const QUESTION = { id: "u1", role: "user", content: "17 × 23?", run_id: "r1" };
const CALL = { id: "c1", name: "calculator", arguments: '{"expression":"17*23"}' };
const CALLING = { id: "a1", role: "assistant", content: "", run_id: "r1", tool_calls: [CALL] };
const RESULT = { id: "t1", role: "tool", content: "391", tool_call_id: "c1", run_id: "r1" };
const ANSWER = { id: "a2", role: "assistant", content: "It is 391.", reasoning: "Easy.", run_id: "r1" };
const NEXT = { id: "u2", role: "user", content: "And 24?", run_id: "r2" };

describe("historyItems", () => {
  it("shows a turn as the live run showed it", () => {
    const system = { id: "s", role: "system", content: "You calculate." };
    const items = historyItems(messages(system, QUESTION, CALLING, RESULT, ANSWER));
    expect(lines(items)).toEqual([
      "user: 17 × 23?",
      "tool: calculator → 391",
      "reasoning",
      "assistant: It is 391.",
    ]);
    expect(items[1]).toMatchObject({ state: "done", arguments: { expression: "17*23" } });
  });

  it("shows a failed tool call as failed", () => {
    const failed = { ...RESULT, content: "no such host", error: "tool_failed" };
    expect(historyItems(messages(CALLING, failed))[0]).toMatchObject({
      state: "failed",
      error: "tool_failed",
    });
  });

  it("reads tool calls in the chat-completions form", () => {
    const call = { id: "c1", type: "function", function: { name: "search", arguments: "{broken" } };
    const items = historyItems(messages({ ...CALLING, tool_calls: [call, "nonsense", { id: 1 }] }));
    expect(items).toMatchObject([{ kind: "tool", name: "search", arguments: "{broken" }]);
  });

  it("keeps calls apart whose ids come again in a later turn", () => {
    const again = { ...CALLING, id: "a3" };
    const items = historyItems(messages(CALLING, RESULT, again, { ...RESULT, content: "408" }));
    expect(lines(items)).toEqual(["tool: calculator → 391", "tool: calculator → 408"]);
    expect(new Set(items.map(({ id }) => id)).size).toBe(2);
  });

  it("drops an answer that no call asked for", () => {
    expect(historyItems(messages(RESULT))).toEqual([]);
  });

  it("gives messages without an id one of their own", () => {
    const items = historyItems(messages({ role: "user", content: "a" }, { role: "user", content: "b" }));
    expect(new Set(items.map(({ id }) => id)).size).toBe(2);
  });
});

describe("messagesBefore", () => {
  it("leaves out what the run itself answered, and keeps its question", () => {
    const own = { ...ANSWER, id: "a9", run_id: "r2" };
    const rows = messages(QUESTION, ANSWER, NEXT, own);
    expect(messagesBefore(rows, "r2").map(({ id }) => id)).toEqual(["u1", "a2", "u2"]);
  });

  it("keeps inherited tool results behind the question, as a fork in mid-run has them", () => {
    const rows = messages(QUESTION, CALLING, RESULT, { ...ANSWER, run_id: "r2" });
    expect(messagesBefore(rows, "r2").map(({ id }) => id)).toEqual(["u1", "a1", "t1"]);
  });

  it("goes by the last question where the server names no run", () => {
    const bare = messages(QUESTION, ANSWER, NEXT, { ...ANSWER, id: "a9" }).map((row) => ({
      ...row,
      run_id: undefined,
    }));
    expect(messagesBefore(bare, "r2").map(({ id }) => id)).toEqual(["u1", "a2", "u2"]);
  });
});

describe("historyOf", () => {
  it("adds the run's question while the server has not put it on the branch", () => {
    expect(lines(historyOf(messages(QUESTION, ANSWER), "r2", "And 24?")).at(-1)).toBe("user: And 24?");
    expect(lines(historyOf([], "r2", "And 24?"))).toEqual(["user: And 24?"]);
  });

  it("does not add it twice", () => {
    const items = lines(historyOf(messages(QUESTION, ANSWER, NEXT), "r2", "And 24?"));
    expect(items.filter((line) => line === "user: And 24?")).toHaveLength(1);
  });

  it("adds none for a run that continues without a question", () => {
    expect(lines(historyOf(messages(QUESTION), "r2", ""))).toEqual(["user: 17 × 23?"]);
  });
});

describe("threadOf", () => {
  const history = [...historyItems(messages(QUESTION, ANSWER)), typedQuestion("r2", "And 24?")];
  const delta = { type: "content_delta", step: 1, message_id: "a9", content: "408" };

  it("is the history, then the run", () => {
    expect(lines(threadOf(history, run({ type: "run_started" }, delta)))).toEqual([
      "user: 17 × 23?",
      "reasoning",
      "assistant: It is 391.",
      "user: And 24?",
      "assistant: 408",
    ]);
  });

  it("is the history alone as long as the run has said nothing", () => {
    expect(threadOf(history, null)).toBe(history);
    expect(threadOf(history, newRunState("r2"))).toBe(history);
  });

  it("shows a typed question once when the run's events tell it, too", () => {
    const asked = { type: "message_completed", message_id: "u2", role: "user", content: "And 24?" };
    const thread = lines(threadOf(history, run({ type: "run_started" }, asked, delta)));
    expect(thread.filter((line) => line === "user: And 24?")).toHaveLength(1);
  });

  it("shows a call once that the history left open and the run made", () => {
    const open = historyItems(messages(QUESTION, CALLING));
    const started = { type: "tool_call_started", tool_call_id: "c1", name: "calculator", arguments: {} };
    expect(lines(threadOf(open, run({ type: "run_started" }, started)))).toEqual([
      "user: 17 × 23?",
      "tool: calculator → undefined",
    ]);
  });

  it("keeps an answered call whose id comes again in the run", () => {
    const answered = historyItems(messages(QUESTION, CALLING, RESULT));
    const started = { type: "tool_call_started", tool_call_id: "c1", name: "calculator", arguments: {} };
    expect(lines(threadOf(answered, run({ type: "run_started" }, started)))).toEqual([
      "user: 17 × 23?",
      "tool: calculator → 391",
      "tool: calculator → undefined",
    ]);
  });
});

describe("freeze", () => {
  it("makes a run's items history, with ids that no later run has", () => {
    const { items } = run({ type: "run_started" }, { type: "warning", message: "slow" });
    const frozen = freeze(items, "r2");
    expect(frozen).toMatchObject([{ id: "r2/notice/2", seq: 0 }]);
    expect(freeze(frozen, "r3")).toEqual(frozen);
  });
});
