/** The events of a run as they travel: one table of their fields, the types derived from it, and the decoder. */

import { isObject, parseJson, type Shape, type Shaped, shaped } from "./shape";

export const EVENT_SHAPES = {
  run_started: {
    session_id: "string?",
    branch_id: "string?",
    agent_id: "string?",
    model: "string?",
    attempt: "number?",
  },
  step_started: { step: "number" },
  step_completed: { step: "number", usage: "object?", duration_ms: "number?" },
  reasoning_delta: { step: "number?", message_id: "string?", content: "string", compacted: "object?" },
  content_delta: { step: "number?", message_id: "string?", content: "string", compacted: "object?" },
  content_reset: { message_id: "string" },
  message_completed: {
    step: "number?",
    message_id: "string",
    role: "string",
    content: "json?",
    tool_calls: "array?",
  },
  plan_updated: { step: "number?", plan: "json", revised: "boolean?" },
  tool_call_started: { step: "number?", tool_call_id: "string", name: "string", arguments: "json?" },
  tool_call_completed: {
    step: "number?",
    tool_call_id: "string",
    name: "string?",
    result: "json?",
    duration_ms: "number?",
  },
  tool_call_failed: {
    step: "number?",
    tool_call_id: "string",
    name: "string?",
    error: "json?",
    duration_ms: "number?",
  },
  approval_required: {
    step: "number?",
    approval_id: "string",
    tool_call_id: "string?",
    name: "string",
    arguments: "json?",
    reason: "string?",
  },
  approval_resolved: {
    approval_id: "string",
    tool_call_id: "string?",
    decision: "string",
    by: "string?",
    note: "string?",
    arguments: "json?",
  },
  checkpoint_created: {
    checkpoint_id: "string",
    step: "number?",
    parent_checkpoint_id: "string?",
    branch_id: "string?",
    label: "string?",
  },
  run_pause_requested: { by: "string?", mode: "string?", reason: "string?" },
  run_paused: { by: "string?", checkpoint_id: "string?", reason: "string?" },
  run_waiting: { reason: "string?", checkpoint_id: "string?" },
  run_interrupted: { reason: "string?", claims: "number?" },
  run_resumed: { by: "string?", checkpoint_id: "string?" },
  run_recovered: { reason: "string?", worker: "string?", epoch: "number?", from_checkpoint_id: "string?" },
  run_restored: { attempt: "number?", from_checkpoint_id: "string?", by: "string?" },
  warning: { code: "string?", message: "string" },
  run_completed: { response: "json?", metrics: "object?" },
  run_failed: { error: "object?", metrics: "object?" },
  run_cancelled: { by: "string?", reason: "string?", metrics: "object?", partial_response: "string?" },
} as const satisfies Readonly<Record<string, Shape>>;

export type EventType = keyof typeof EVENT_SHAPES;

interface Common {
  readonly run_id: string | undefined;
  /** 1, 2, 3, … within the run. */
  readonly seq: number;
  /** ISO 8601, UTC. */
  readonly at: string | undefined;
}

export type EventOf<T extends EventType> = Common & { readonly type: T } & Shaped<(typeof EVENT_SHAPES)[T]>;
export type RunEvent = { [T in EventType]: EventOf<T> }[EventType];

const COMMON = { run_id: "string?", seq: "number?", at: "string?" } as const satisfies Shape;

function isEventType(name: unknown): name is EventType {
  return typeof name === "string" && Object.hasOwn(EVENT_SHAPES, name);
}

/** Says whether nothing of the attempt follows an event of this name. */
export function isTerminal(name: string): boolean {
  return name === "run_completed" || name === "run_failed" || name === "run_cancelled";
}

/** Returns the sequence number in an SSE id: `<seq>`, or `<run_id>/<seq>` where the URL does not name the run. */
export function seqOfId(id: string | undefined): number | null {
  const digits = id?.slice(id.lastIndexOf("/") + 1) ?? "";
  return /^\d{1,15}$/.test(digits) ? Number(digits) : null;
}

/** The last id that a compacted delta stands for; null when it stands for itself only. */
export function compactedThrough(event: { readonly compacted: unknown }): number | null {
  const through = isObject(event.compacted) ? event.compacted.through_seq : undefined;
  return typeof through === "number" ? through : null;
}

/** Returns the event that `data` describes, or null for one that this page does not know or that has no number. */
export function decodeEvent(name: string, data: unknown, id?: string): RunEvent | null {
  const common = shaped(COMMON, data);
  if (common === null || !isObject(data)) return null;
  const type = isEventType(name) ? name : data.type;
  if (!isEventType(type)) return null;
  const fields = shaped(EVENT_SHAPES[type], data);
  const seq = common.seq ?? seqOfId(id);
  if (fields === null || seq === null) return null;
  // `fields` was checked against the row of `type`; a union over the table's rows cannot express that link.
  return { ...fields, type, run_id: common.run_id, seq, at: common.at } as RunEvent;
}

/** Returns the event in an SSE frame, or null (unknown, malformed, unnumbered). */
export function decodeFrame(frame: {
  event: string;
  data: string;
  id?: string | undefined;
}): RunEvent | null {
  return decodeEvent(frame.event, parseJson(frame.data), frame.id);
}
