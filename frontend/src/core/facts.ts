/** What a run's view says, and how that joins what its events have told. */

import type { RunState } from "./run-state";
import { shaped } from "./shape";
import { isRunStatus, type RunStatus } from "./status";
import { isRequested, METRICS, type Metrics, type ParentView, parentOf, type RunView, textOf } from "./views";

export interface RunFacts {
  readonly runId: string;
  readonly sessionId: string | null;
  readonly branchId: string | null;
  readonly agentId: string | null;
  readonly model: string | null;
  readonly status: RunStatus;
  readonly reason: string | null;
  readonly pauseRequested: boolean;
  readonly cancelRequested: boolean;
  /** The view knows the run up to this event; null when it does not say. */
  readonly lastSeq: number | null;
  readonly queuePosition: number | null;
  readonly parent: ParentView | null;
  readonly metrics: Metrics | null;
  readonly startedAt: string | null;
  /** The question's text; empty when the view does not carry it. */
  readonly input: string;
}

export function factsOf(view: RunView): RunFacts {
  return {
    runId: view.id,
    sessionId: view.session_id ?? null,
    branchId: view.branch_id ?? null,
    agentId: view.agent_id ?? null,
    model: view.model ?? null,
    status: isRunStatus(view.status) ? view.status : "running",
    reason: view.status_reason ?? null,
    pauseRequested: isRequested(view.pause_requested),
    cancelRequested: isRequested(view.cancel_requested),
    lastSeq: view.last_seq ?? null,
    queuePosition: view.queue_position ?? null,
    parent: parentOf(view),
    metrics: shaped(METRICS, view.metrics),
    startedAt: view.started_at ?? null,
    input: textOf(view.input),
  };
}

/**
 * Returns the state with what the facts add.
 *
 * The server reads a view's status and its last event one after the other, so a view may be older than the event
 * that it names. The events say where the run stands; the view only where they cannot: before they have all come,
 * and for what makes no event (back in the queue, a request that was just accepted).
 */
export function withFacts(state: RunState, facts: RunFacts | null): RunState {
  if (facts === null || facts.runId !== state.runId) return state;
  const named = {
    ...state,
    sessionId: state.sessionId ?? facts.sessionId,
    branchId: state.branchId ?? facts.branchId,
    agentId: state.agentId ?? facts.agentId,
    model: state.model ?? facts.model,
    startedAt: state.startedAt ?? facts.startedAt,
  };
  const { status, reason, pauseRequested, lastSeq } = facts;
  if (state.lastSeq === 0 || (lastSeq !== null && lastSeq > state.lastSeq)) {
    return { ...named, status, reason, pauseRequested };
  }
  if (lastSeq !== state.lastSeq) return named;
  if (status === "queued") return { ...named, status, reason, pauseRequested };
  const pausing = named.status === "running" && pauseRequested;
  return { ...named, pauseRequested: named.pauseRequested || pausing };
}
