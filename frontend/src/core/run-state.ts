/** What the page knows of one run: the result of applying its events in order. */

import type { RunStatus } from "./status";
import type { Metrics } from "./views";

interface ItemBase {
  /** Unique within the thread. */
  readonly id: string;
  /** Number of the event that made the item; 0 for items of the history. */
  readonly seq: number;
}

export interface MessageItem extends ItemBase {
  readonly kind: "message";
  readonly role: "user" | "assistant";
  readonly text: string;
  readonly complete: boolean;
}

export interface ReasoningItem extends ItemBase {
  readonly kind: "reasoning";
  /** Message that the reasoning belongs to. */
  readonly messageId: string;
  readonly text: string;
  readonly complete: boolean;
  readonly startedAt: string | undefined;
  readonly endedAt: string | undefined;
}

export interface ToolItem extends ItemBase {
  readonly kind: "tool";
  readonly callId: string;
  readonly name: string;
  readonly state: "running" | "done" | "failed";
  readonly arguments: unknown;
  readonly result: unknown;
  readonly error: unknown;
  readonly durationMs: number | undefined;
}

export interface ApprovalItem extends ItemBase {
  readonly kind: "approval";
  readonly approvalId: string;
  readonly callId: string | undefined;
  readonly name: string;
  readonly arguments: unknown;
  readonly reason: string | undefined;
  readonly decision: string | null;
  readonly by: string | undefined;
  readonly note: string | undefined;
}

export interface NoticeItem extends ItemBase {
  readonly kind: "notice";
  readonly tone: "info" | "warning" | "danger";
  /** As the server wrote it; empty where there is a phrase. */
  readonly text: string;
  /** What the page says in the language of its reader. */
  readonly phrase?: NoticePhrase;
}

export type NoticePhrase =
  | { readonly kind: "plan"; readonly revised: boolean; readonly plan: string }
  | { readonly kind: "recovered"; readonly drained: boolean; readonly checkpoint: boolean }
  | { readonly kind: "interrupted"; readonly reason: string }
  | { readonly kind: "restored"; readonly by: string | undefined };

export type ThreadItem = MessageItem | ReasoningItem | ToolItem | ApprovalItem | NoticeItem;

export interface RunError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

export interface CheckpointMark {
  readonly id: string;
  readonly seq: number;
}

export interface RunState {
  readonly runId: string;
  readonly sessionId: string | null;
  readonly branchId: string | null;
  readonly agentId: string | null;
  readonly model: string | null;
  readonly status: RunStatus;
  readonly reason: string | null;
  readonly pauseRequested: boolean;
  readonly attempt: number;
  readonly step: number;
  /** All events up to this number are applied; 0: none yet. */
  readonly lastSeq: number;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly items: readonly ThreadItem[];
  readonly checkpoints: readonly CheckpointMark[];
  /** Sums of the completed steps until the run ends, then the run's own totals. */
  readonly metrics: Metrics;
  readonly error: RunError | null;
}

export const NO_METRICS: Metrics = {
  steps: undefined,
  prompt_tokens: undefined,
  completion_tokens: undefined,
  total_tokens: undefined,
  cost: undefined,
  duration_ms: undefined,
  time_to_first_token_ms: undefined,
};

/** The state of a run of which no event has come yet. */
export function newRunState(runId: string): RunState {
  return {
    runId,
    sessionId: null,
    branchId: null,
    agentId: null,
    model: null,
    status: "queued",
    reason: null,
    pauseRequested: false,
    attempt: 1,
    step: 0,
    lastSeq: 0,
    startedAt: null,
    endedAt: null,
    items: [],
    checkpoints: [],
    metrics: NO_METRICS,
    error: null,
  };
}

/** The approvals that nobody has decided yet, oldest first. */
export function pendingApprovals(state: RunState): readonly ApprovalItem[] {
  return state.items.filter(
    (item): item is ApprovalItem => item.kind === "approval" && item.decision === null,
  );
}

/** Tool calls whose outcome a crash made unknown, and which nobody has answered for since. */
export function callsInDoubt(state: RunState): readonly ToolItem[] {
  if (state.status !== "waiting") return [];
  return state.items.filter(
    (item): item is ToolItem => item.kind === "tool" && errorCode(item.error) === "outcome_unknown",
  );
}

export function errorCode(error: unknown): string | null {
  if (typeof error !== "object" || error === null || !("code" in error)) return null;
  return typeof error.code === "string" ? error.code : null;
}
