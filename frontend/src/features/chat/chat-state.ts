/** What the page shows: one conversation, one run, and what is going on between page and server. */

import type { Announcement } from "../../core/announce";
import { type RunFacts, withFacts } from "../../core/facts";
import type { RunState, ThreadItem } from "../../core/run-state";
import { NOTHING, type Selection } from "../../core/selection";
import { isEnded } from "../../core/status";
import type { Connection } from "../../core/stream";

export interface Queued {
  readonly text: string;
  readonly agentId: string;
}

export interface ChatState {
  readonly selection: Selection;
  /** What was said before the run, its own question included. */
  readonly history: readonly ThreadItem[];
  /** The run as its events tell it; `shownRun` adds what its view knows. */
  readonly run: RunState | null;
  readonly facts: RunFacts | null;
  /** Null when no stream is open. */
  readonly connection: Connection | null;
  readonly loading: boolean;
  /** Name of the command that waits for its answer. */
  readonly command: string | null;
  readonly problem: string | null;
  readonly said: Announcement | null;
  /** What is typed; given back when the server refuses it. */
  readonly draft: string;
  /** What is sent when the run has ended. */
  readonly queued: Queued | null;
  /** Grows whenever lists of sessions, runs or checkpoints may have changed. */
  readonly revision: number;
}

export const EMPTY: ChatState = {
  selection: NOTHING,
  history: [],
  run: null,
  facts: null,
  connection: null,
  loading: false,
  command: null,
  problem: null,
  said: null,
  draft: "",
  queued: null,
  revision: 0,
};

/** The run as it should be shown: events and view together. */
export function shownRun(state: ChatState): RunState | null {
  return state.run === null ? null : withFacts(state.run, state.facts);
}

/** Where the next message goes, in the API's words: the shown branch of the shown conversation, or a new one. */
export function placeOf({ selection, run, facts }: ChatState): { session_id?: string; branch_id?: string } {
  if (selection.sessionId === null) return {};
  const branchId = run?.branchId ?? facts?.branchId ?? null;
  return { session_id: selection.sessionId, ...(branchId === null ? {} : { branch_id: branchId }) };
}

/** True from the moment that a stop was accepted until it has taken effect. */
export function isCancelling(state: ChatState): boolean {
  const run = shownRun(state);
  return run !== null && !isEnded(run.status) && state.facts?.cancelRequested === true;
}
