/** Applies a run's events to its state. Pure: the same events give the same state, whatever the deliveries. */

import { compactedThrough, type EventOf, type EventType, type RunEvent } from "./events";
import * as items from "./items";
import { NO_METRICS, type NoticePhrase, pendingApprovals, type RunError, type RunState } from "./run-state";
import { isObject, type JsonObject, shaped } from "./shape";
import type { RunStatus } from "./status";
import { METRICS, type Metrics } from "./views";

/** Applies one event; one that was applied before changes nothing. */
export function applyEvent(state: RunState, event: RunEvent): RunState {
  const through = "compacted" in event ? compactedThrough(event) : null;
  const lastSeq = Math.max(event.seq, through ?? 0);
  if (lastSeq <= state.lastSeq) return state;
  const changed = change(state, event);
  const begun = changed.status === "queued" && WORK.has(event.type);
  return { ...changed, status: begun ? "running" : changed.status, lastSeq };
}

/** Events that only a worker at work brings. A run announces itself while it is still queued. */
const WORK: ReadonlySet<EventType> = new Set([
  "step_started",
  "step_completed",
  "content_delta",
  "reasoning_delta",
  "plan_updated",
  "tool_call_started",
]);

export function applyEvents(state: RunState, events: readonly RunEvent[]): RunState {
  return events.reduce(applyEvent, state);
}

function change(state: RunState, event: RunEvent): RunState {
  switch (event.type) {
    case "content_delta":
      return { ...state, items: items.addContent(state.items, event) };
    case "reasoning_delta":
      return { ...state, items: items.addReasoning(state.items, event) };
    case "content_reset":
      return { ...state, items: items.dropMessage(state.items, event.message_id) };
    case "message_completed":
      return { ...state, items: items.completeMessage(state.items, event) };
    case "tool_call_started":
      return { ...state, items: items.startTool(state.items, event) };
    case "tool_call_completed":
    case "tool_call_failed":
      return { ...state, items: items.endTool(state.items, event) };
    case "approval_required":
      return { ...rest(state, "waiting", "approval"), items: items.askApproval(state.items, event) };
    case "approval_resolved":
      return resolve(state, event);
    case "plan_updated":
      return notice(state, event.seq, "info", planPhrase(event));
    case "warning":
      return notice(state, event.seq, "warning", event.message);
    case "step_started":
      return { ...state, step: event.step };
    case "step_completed":
      return { ...state, step: event.step, metrics: addUsage(state.metrics, event) };
    case "checkpoint_created":
      return { ...state, checkpoints: [...state.checkpoints, { id: event.checkpoint_id, seq: event.seq }] };
    default:
      return changeRun(state, event);
  }
}

type LifeEvent = Extract<RunEvent, { type: `run_${string}` }>;

function changeRun(state: RunState, event: LifeEvent): RunState {
  switch (event.type) {
    case "run_started":
      return start(state, event);
    case "run_pause_requested":
      return { ...state, pauseRequested: true };
    case "run_paused":
      return rest(state, "paused", event.reason);
    case "run_waiting":
      return rest(state, "waiting", event.reason);
    case "run_interrupted":
      return notice(rest(state, "interrupted", event.reason), event.seq, "danger", {
        kind: "interrupted",
        reason: event.reason ?? "",
      });
    case "run_resumed":
      return rest(state, "running");
    case "run_recovered":
      return notice(rest(state, "running"), event.seq, "info", recoverPhrase(event));
    case "run_restored":
      return restore(state, event);
    case "run_completed":
      return end(state, event, "completed");
    case "run_cancelled":
      return end({ ...state, reason: event.reason ?? null }, event, "cancelled");
    case "run_failed":
      return { ...end(state, event, "failed"), error: errorOf(event.error) };
  }
}

function start(state: RunState, event: EventOf<"run_started">): RunState {
  return {
    ...rest(state, "queued"),
    sessionId: event.session_id ?? state.sessionId,
    branchId: event.branch_id ?? state.branchId,
    agentId: event.agent_id ?? state.agentId,
    model: event.model ?? state.model,
    attempt: event.attempt ?? state.attempt,
    startedAt: state.startedAt ?? event.at ?? null,
    endedAt: null,
    error: null,
  };
}

/** Moves to a status that is no end; a pause that was asked for is over either way. */
function rest(state: RunState, status: RunStatus, reason: string | null = null): RunState {
  return { ...state, status, reason, pauseRequested: status === "waiting" && state.pauseRequested };
}

function resolve(state: RunState, event: EventOf<"approval_resolved">): RunState {
  const decided = { ...state, items: items.resolveApproval(state.items, event) };
  const done = state.status === "waiting" && pendingApprovals(decided).length === 0;
  return done ? rest(decided, "running") : decided;
}

/** An in-place restore: the run goes back to a checkpoint, and what came after it is no longer its story. */
function restore(state: RunState, event: EventOf<"run_restored">): RunState {
  const mark = state.checkpoints.find(({ id }) => id === event.from_checkpoint_id);
  const cut = mark?.seq ?? 0;
  const kept = {
    ...rest(state, "running"),
    attempt: event.attempt ?? state.attempt + 1,
    endedAt: null,
    error: null,
    items: items.dropAfter(state.items, cut),
    metrics: NO_METRICS,
  };
  return notice(kept, event.seq, "info", { kind: "restored", by: event.by });
}

function end(
  state: RunState,
  event: EventOf<"run_completed"> | EventOf<"run_failed"> | EventOf<"run_cancelled">,
  status: RunStatus,
): RunState {
  return {
    ...state,
    status,
    pauseRequested: false,
    endedAt: event.at ?? null,
    items: items.settle(state.items, event.at),
    metrics: shaped(METRICS, event.metrics) ?? state.metrics,
  };
}

function addUsage(metrics: Metrics, event: EventOf<"step_completed">): Metrics {
  const usage = shaped(METRICS, event.usage);
  const sum = (name: keyof Metrics) => {
    const added = usage?.[name];
    return added === undefined ? metrics[name] : (metrics[name] ?? 0) + added;
  };
  return {
    ...metrics,
    steps: event.step,
    prompt_tokens: sum("prompt_tokens"),
    completion_tokens: sum("completion_tokens"),
    total_tokens: sum("total_tokens"),
    cost: sum("cost"),
    duration_ms: (metrics.duration_ms ?? 0) + (event.duration_ms ?? 0),
  };
}

function notice(
  state: RunState,
  seq: number,
  tone: "info" | "warning" | "danger",
  text: string | NoticePhrase,
): RunState {
  return { ...state, items: items.addNotice(state.items, seq, tone, text) };
}

function planPhrase(event: EventOf<"plan_updated">): NoticePhrase {
  const plan = typeof event.plan === "string" ? event.plan : JSON.stringify(event.plan, null, 2);
  return { kind: "plan", revised: event.revised === true, plan };
}

function recoverPhrase(event: EventOf<"run_recovered">): NoticePhrase {
  const checkpoint = Boolean(event.from_checkpoint_id);
  return { kind: "recovered", drained: event.reason === "drained", checkpoint };
}

function errorOf(error: JsonObject | undefined): RunError {
  const { code, message, retryable } = isObject(error) ? error : {};
  return {
    code: typeof code === "string" ? code : "error",
    message: typeof message === "string" ? message : "The run failed.",
    retryable: retryable === true,
  };
}
