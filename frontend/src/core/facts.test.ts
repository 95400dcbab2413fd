import { describe, expect, it } from "vitest";
import { decoded } from "../testing/wire";
import { factsOf, type RunFacts, withFacts } from "./facts";
import { applyEvents } from "./reduce";
import { newRunState } from "./run-state";
import { shaped } from "./shape";
import { RUN, type RunView } from "./views";

function view(fields: Record<string, unknown> = {}): RunView {
  const made = shaped(RUN, { id: "r1", status: "running", last_seq: 3, ...fields });
  if (made === null) throw new Error("not a view");
  return made;
}

function facts(fields: Record<string, unknown> = {}): RunFacts {
  return factsOf(view(fields));
}

const STARTED = { type: "run_started", session_id: "s1" };
const STEP = { type: "step_started", step: 1 };
const running = applyEvents(
  newRunState("r1"),
  decoded([STARTED, STEP, { type: "warning", message: "slow" }]),
);
const paused = applyEvents(newRunState("r1"), decoded([STARTED, STEP, { type: "run_paused", by: "ann" }]));
const ended = applyEvents(newRunState("r1"), decoded([STARTED, STEP, { type: "run_completed" }]));

describe("factsOf", () => {
  it("reads a view", () => {
    const parent = { run_id: "r0", checkpoint_id: "r0.4", kind: "fork" };
    const read = facts({
      status: "queued",
      status_reason: "branch_busy",
      session_id: "s1",
      queue_position: 2,
      parent,
      input: [{ type: "text", text: "Hi" }],
      metrics: { total_tokens: 12, cost: null },
      pause_requested: false,
      cancel_requested: true,
    });
    expect(read).toMatchObject({
      runId: "r1",
      status: "queued",
      reason: "branch_busy",
      queuePosition: 2,
      parent,
      input: "Hi",
      pauseRequested: false,
      cancelRequested: true,
    });
    expect(read.metrics).toEqual({ total_tokens: 12 });
  });

  it("reads a request that says who asked", () => {
    expect(facts({ pause_requested: { by: "ann" } }).pauseRequested).toBe(true);
    expect(facts({ pause_requested: null }).pauseRequested).toBe(false);
  });

  it("survives a status from the future", () => {
    expect(facts({ status: "hibernating" }).status).toBe("running");
  });

  it("has no parent and no input for a run of its own that only continues", () => {
    expect(facts({ parent: null, input: null })).toMatchObject({ parent: null, input: "" });
  });
});

describe("withFacts", () => {
  it("says where a run stands before its events have come", () => {
    const state = withFacts(newRunState("r1"), facts({ status: "paused", session_id: "s1", agent_id: "a1" }));
    expect(state).toMatchObject({ status: "paused", sessionId: "s1", agentId: "a1" });
  });

  it("says where it stands while the events are replayed", () => {
    expect(withFacts(running, facts({ status: "completed", last_seq: 90 })).status).toBe("completed");
  });

  it("gives way to events that are newer", () => {
    expect(withFacts(ended, facts({ status: "running", last_seq: 2 })).status).toBe("completed");
    expect(withFacts(running, facts({ status: "paused", last_seq: 2 })).status).toBe("running");
  });

  it("gives way to an end or a rest that it names but has not understood", () => {
    expect(withFacts(ended, facts({ status: "running" })).status).toBe("completed");
    expect(withFacts(paused, facts({ status: "running", pause_requested: true }))).toMatchObject({
      status: "paused",
      pauseRequested: false,
    });
  });

  it("knows that a run went back into the queue, for which there is no event", () => {
    expect(withFacts(paused, facts({ status: "queued" })).status).toBe("queued");
    expect(withFacts(ended, facts({ status: "queued" })).status).toBe("queued");
  });

  it("knows that a pause was accepted before its event comes", () => {
    expect(withFacts(running, facts({ pause_requested: true })).pauseRequested).toBe(true);
  });

  it("of another run changes nothing", () => {
    expect(withFacts(running, facts({ id: "r2", status: "failed" }))).toBe(running);
    expect(withFacts(running, null)).toBe(running);
  });

  it("without an event number counts only before the first event", () => {
    const unnumbered = facts({ status: "paused", last_seq: null });
    expect(withFacts(newRunState("r1"), unnumbered).status).toBe("paused");
    expect(withFacts(running, unnumbered).status).toBe("running");
  });
});
