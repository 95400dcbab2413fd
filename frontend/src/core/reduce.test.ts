import { describe, expect, it } from "vitest";
import { at, decoded, type WireEvent } from "../testing/wire";
import { applyEvents } from "./reduce";
import { callsInDoubt, newRunState, pendingApprovals, type RunState, type ThreadItem } from "./run-state";

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

describe("a run's life", () => {
  it("is announced while it is queued", () => {
    const state = play(STARTED);
    expect(state).toMatchObject({
      status: "queued",
      sessionId: "s1",
      branchId: "b1",
      agentId: "assistant",
      model: "demo",
      startedAt: at(1),
      lastSeq: 1,
    });
  });

  it.each([
    [{ type: "step_started", step: 1 }],
    [content("Hi")],
    [reasoning("Hm")],
    [toolStarted()],
  ] as const)("is running once a worker does something: %j", (event) => {
    expect(play(STARTED, event).status).toBe("running");
  });

  it("pauses, with the wish visible before the effect", () => {
    const running = [STARTED, { type: "step_started", step: 1 }];
    const asked = play(...running, { type: "run_pause_requested", by: "ann", mode: "safe" });
    expect(asked).toMatchObject({ status: "running", pauseRequested: true });
    const paused = play(...running, { type: "run_pause_requested" }, { type: "run_paused", by: "ann" });
    expect(paused).toMatchObject({ status: "paused", pauseRequested: false });
    expect(applyEvents(paused, decoded([{ type: "run_resumed", by: "ann" }], 5)).status).toBe("running");
  });

  it("completes with the run's own totals", () => {
    const state = play(STARTED, content("Hi"), { type: "run_completed", response: "Hi", metrics: METRICS });
    expect(state).toMatchObject({ status: "completed", endedAt: at(3) });
    expect(state.metrics).toMatchObject(METRICS);
  });

  it("fails with its error", () => {
    const error = { code: "provider_auth", message: "the key was refused", retryable: false };
    expect(play(STARTED, { type: "run_failed", error, metrics: METRICS })).toMatchObject({
      status: "failed",
      error,
    });
  });

  it("fails with something to say even when the server does not", () => {
    const { error } = play(STARTED, { type: "run_failed" });
    expect(error).toEqual({ code: "error", message: "The run failed.", retryable: false });
  });

  it("is cancelled, and keeps what was said", () => {
    const state = play(STARTED, content("Hal"), { type: "run_cancelled", by: "ann", reason: "enough" });
    expect(state).toMatchObject({ status: "cancelled", reason: "enough" });
    expect(state.items).toMatchObject([{ kind: "message", text: "Hal", complete: true }]);
  });

  it("waits, or is interrupted, with the reason", () => {
    expect(play(STARTED, { type: "run_waiting", reason: "needs_attention" })).toMatchObject({
      status: "waiting",
      reason: "needs_attention",
    });
    const interrupted = play(STARTED, { type: "run_interrupted", reason: "poison", claims: 3 });
    expect(interrupted.status).toBe("interrupted");
    expect(texts(interrupted.items)).toEqual(['notice: {"kind":"interrupted","reason":"poison"}']);
  });

  it("is taken over by another worker, and says so", () => {
    const crashed = {
      type: "run_recovered",
      reason: "crashed",
      worker: "w2",
      epoch: 2,
      from_checkpoint_id: "k1",
    };
    const state = play(STARTED, content("Hal"), crashed, { type: "content_reset", message_id: "m1" });
    expect(state.status).toBe("running");
    expect(texts(state.items)).toEqual(['notice: {"kind":"recovered","drained":false,"checkpoint":true}']);
    const drained = play(STARTED, { type: "run_recovered", reason: "drained", worker: "w2", epoch: 2 });
    expect(texts(drained.items)).toEqual(['notice: {"kind":"recovered","drained":true,"checkpoint":false}']);
  });
});

describe("messages", () => {
  it("are the deltas joined", () => {
    const state = play(STARTED, content("Hel"), content("lo"));
    expect(state.items).toMatchObject([{ id: "m1", role: "assistant", text: "Hello", complete: false }]);
  });

  it("are replaced by the whole text when they are complete", () => {
    const done = {
      type: "message_completed",
      step: 1,
      message_id: "m1",
      role: "assistant",
      content: "Hello!",
    };
    expect(play(STARTED, content("Hello"), done).items).toMatchObject([{ text: "Hello!", complete: true }]);
  });

  it("keep their deltas when the whole text is not sent", () => {
    const done = { type: "message_completed", step: 1, message_id: "m1", role: "assistant" };
    expect(play(STARTED, content("Hello"), done).items).toMatchObject([{ text: "Hello", complete: true }]);
  });

  it("may be content parts", () => {
    const parts = [{ type: "text", text: "One" }, { type: "image" }, { type: "text", text: "two" }];
    const done = { type: "message_completed", step: 1, message_id: "m1", role: "assistant", content: parts };
    expect(play(STARTED, done).items).toMatchObject([{ text: "One\ntwo" }]);
  });

  it("are not shown when they only call tools", () => {
    const done = { type: "message_completed", step: 1, message_id: "m1", role: "assistant", content: "" };
    expect(play(STARTED, { ...done, tool_calls: [{ id: "c1" }] }).items).toEqual([]);
  });

  it("of a tool are shown by the tool call", () => {
    const done = { type: "message_completed", step: 1, message_id: "m2", role: "tool", content: "42" };
    expect(play(STARTED, done).items).toEqual([]);
  });

  it("of a person that come in the middle of a run are shown", () => {
    const asked = { type: "message_completed", step: 1, message_id: "u2", role: "user", content: "And now?" };
    expect(play(STARTED, asked).items).toMatchObject([{ role: "user", text: "And now?", complete: true }]);
  });

  it("are dropped by a reset and start anew", () => {
    const reset = { type: "content_reset", message_id: "m1" };
    const state = play(STARTED, reasoning("Hm"), content("Hal"), reset, content("Hello"));
    expect(texts(state.items)).toEqual(["message: Hello"]);
  });

  it("are left alone by the reset of another one", () => {
    const reset = { type: "content_reset", message_id: "m2" };
    expect(texts(play(STARTED, content("One"), content("Tw", "m2"), reset).items)).toEqual(["message: One"]);
  });

  it("without an id are one per step", () => {
    const bare = (step: number, text: string) => ({ type: "content_delta", step, content: text });
    expect(texts(play(STARTED, bare(1, "a"), bare(1, "b"), bare(2, "c")).items)).toEqual([
      "message: ab",
      "message: c",
    ]);
  });
});

describe("reasoning", () => {
  it("is one item before its message, closed when the message begins", () => {
    const { items } = play(STARTED, reasoning("Let me "), reasoning("think."), content("42"));
    expect(texts(items)).toEqual(["reasoning: Let me think.", "message: 42"]);
    expect(items[0]).toMatchObject({ complete: true, startedAt: at(2), endedAt: at(4) });
  });

  it.each([
    [toolStarted()],
    [{ type: "approval_required", approval_id: "a1", name: "search" }],
    [{ type: "message_completed", message_id: "m1", role: "assistant", content: "" }],
    [{ type: "run_cancelled" }],
  ])("is closed by %j", (event) => {
    expect(play(STARTED, reasoning("Hm"), event).items[0]).toMatchObject({
      kind: "reasoning",
      complete: true,
    });
  });
});

describe("tool calls", () => {
  it("run and answer", () => {
    expect(play(STARTED, toolStarted()).items).toMatchObject([
      { kind: "tool", name: "search", state: "running", arguments: { query: "x" } },
    ]);
    const done = {
      type: "tool_call_completed",
      tool_call_id: "c1",
      name: "search",
      result: "42",
      duration_ms: 30,
    };
    expect(play(STARTED, toolStarted(), done).items).toMatchObject([
      { state: "done", result: "42", durationMs: 30, arguments: { query: "x" } },
    ]);
  });

  it("fail with their error", () => {
    const error = { code: "tool_timeout", message: "too slow" };
    const failed = { type: "tool_call_failed", tool_call_id: "c1", name: "search", error };
    expect(play(STARTED, toolStarted(), failed).items).toMatchObject([{ state: "failed", error }]);
  });

  it("are shown even when only their end was told", () => {
    const done = { type: "tool_call_completed", tool_call_id: "c9", name: "search", result: "42" };
    expect(play(STARTED, done).items).toMatchObject([{ kind: "tool", name: "search", state: "done" }]);
  });

  it("stay one item when a failed call is made again", () => {
    const failed = { type: "tool_call_failed", tool_call_id: "c1", error: { code: "outcome_unknown" } };
    const { items } = play(STARTED, toolStarted(), failed, toolStarted());
    expect(items).toMatchObject([{ state: "running", error: undefined }]);
  });

  it("are two items when a provider numbers its calls anew in each step", () => {
    const done = { type: "tool_call_completed", tool_call_id: "c1", name: "search", result: "1" };
    const { items } = play(STARTED, toolStarted(), done, toolStarted(), { ...done, result: "2" });
    expect(items).toMatchObject([{ result: "1" }, { result: "2" }]);
    expect(new Set(items.map(({ id }) => id)).size).toBe(2);
  });

  it("in doubt are named while the run waits", () => {
    const failed = { type: "tool_call_failed", tool_call_id: "c1", error: { code: "outcome_unknown" } };
    const waiting = play(STARTED, toolStarted(), failed, { type: "run_waiting", reason: "needs_attention" });
    expect(callsInDoubt(waiting)).toMatchObject([{ callId: "c1" }]);
    expect(callsInDoubt(play(STARTED, toolStarted(), failed))).toEqual([]);
  });
});

describe("approvals", () => {
  const required = (approval_id: string) => ({
    type: "approval_required",
    approval_id,
    tool_call_id: `call-${approval_id}`,
    name: "send_mail",
    arguments: { to: "ann" },
    reason: "sends mail",
  });
  const resolved = (approval_id: string, rest: Record<string, unknown> = {}) => ({
    type: "approval_resolved",
    approval_id,
    decision: "approve",
    by: "ann",
    ...rest,
  });

  it("make the run wait until all are decided, in either order", () => {
    const asked = play(STARTED, required("a1"), required("a2"));
    expect(asked.status).toBe("waiting");
    expect(pendingApprovals(asked).map(({ approvalId }) => approvalId)).toEqual(["a1", "a2"]);
    const half = play(STARTED, required("a1"), required("a2"), resolved("a2"));
    expect(half.status).toBe("waiting");
    expect(pendingApprovals(half).map(({ approvalId }) => approvalId)).toEqual(["a1"]);
    expect(play(STARTED, required("a1"), required("a2"), resolved("a2"), resolved("a1")).status).toBe(
      "running",
    );
  });

  it("keep who decided what, and why", () => {
    const { items } = play(
      STARTED,
      required("a1"),
      resolved("a1", { decision: "reject", note: "not today" }),
    );
    expect(items).toMatchObject([
      { decision: "reject", by: "ann", note: "not today", arguments: { to: "ann" } },
    ]);
  });

  it("show the arguments that were approved", () => {
    const { items } = play(STARTED, required("a1"), resolved("a1", { arguments: { to: "bob" } }));
    expect(items).toMatchObject([{ arguments: { to: "bob" } }]);
  });

  it("do not wake a run that is paused", () => {
    const state = play(STARTED, required("a1"), { type: "run_paused" }, resolved("a1"));
    expect(state.status).toBe("paused");
  });
});

describe("steps, checkpoints and figures", () => {
  it("sum the steps' usage until the run's totals come", () => {
    const step = (n: number, usage: Record<string, unknown>) => ({
      type: "step_completed",
      step: n,
      usage,
      duration_ms: 100,
    });
    const usage = { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12, cost: 0.5 };
    const state = play(STARTED, step(1, usage), step(2, { ...usage, cost: null }));
    expect(state.step).toBe(2);
    expect(state.metrics).toMatchObject({
      steps: 2,
      prompt_tokens: 20,
      total_tokens: 24,
      cost: 0.5,
      duration_ms: 200,
    });
  });

  it("list the checkpoints", () => {
    const { checkpoints } = play(STARTED, checkpoint("k1"), content("Hi"), checkpoint("k2"));
    expect(checkpoints).toEqual([
      { id: "k1", seq: 2 },
      { id: "k2", seq: 4 },
    ]);
  });

  it("show warnings and plans", () => {
    const warning = { type: "warning", code: "provider_retry", message: "The provider is slow." };
    const { items } = play(STARTED, warning, { type: "plan_updated", plan: "1. Look", revised: false });
    expect(texts(items)).toEqual([
      "notice: The provider is slow.",
      'notice: {"kind":"plan","revised":false,"plan":"1. Look"}',
    ]);
    expect(texts(play(STARTED, { type: "plan_updated", plan: ["a"], revised: true }).items)[0]).toContain(
      '"revised":true',
    );
  });
});
