/** Views of the API that this page reads: their fields and the types derived from them. */

import type { Schemas } from "./client";
import { isObject, type Shape, type Shaped, shaped, shapedList } from "./shape";

export const INFO = {
  version: "string?",
  store: "json?",
  default_agent: "string?",
  provider_configured: "boolean?",
  demo: "boolean?",
} as const satisfies Shape;
export type InfoView = Shaped<typeof INFO>;

export const AGENT = {
  id: "string",
  name: "string?",
  description: "string?",
  provider: "string?",
  model: "string?",
  system_prompt: "string?",
  max_steps: "number?",
  enabled: "boolean?",
} as const satisfies Shape;
export type AgentView = Shaped<typeof AGENT>;

export const SESSION = {
  id: "string",
  title: "string?",
  agent_id: "string?",
  created_at: "string?",
  updated_at: "string?",
} as const satisfies Shape;
export type SessionView = Shaped<typeof SESSION>;

export const METRICS = {
  steps: "number?",
  prompt_tokens: "number?",
  completion_tokens: "number?",
  total_tokens: "number?",
  cost: "number?",
  duration_ms: "number?",
  time_to_first_token_ms: "number?",
} as const satisfies Shape;
export type Metrics = Shaped<typeof METRICS>;

export const RUN = {
  id: "string",
  status: "string",
  status_reason: "string?",
  agent_id: "string?",
  session_id: "string?",
  branch_id: "string?",
  model: "string?",
  pause_requested: "json?",
  cancel_requested: "json?",
  step: "number?",
  attempt: "number?",
  input: "json?",
  error: "object?",
  metrics: "object?",
  parent: "object?",
  last_seq: "number?",
  queue_position: "number?",
  created_at: "string?",
  started_at: "string?",
  ended_at: "string?",
} as const satisfies Shape;
export type RunView = Shaped<typeof RUN>;

const PARENT = { run_id: "string", checkpoint_id: "string?", kind: "string?" } as const satisfies Shape;
export type ParentView = Shaped<typeof PARENT>;

export const CHECKPOINT = {
  id: "string",
  run_id: "string?",
  branch_id: "string?",
  step: "number?",
  kind: "string?",
  created_at: "string?",
  message_count: "number?",
  tokens: "number?",
  label: "string?",
  superseded: "boolean?",
} as const satisfies Shape;
export type CheckpointView = Shaped<typeof CHECKPOINT>;

export const MESSAGE = {
  id: "string?",
  message_id: "string?",
  role: "string",
  content: "json?",
  reasoning: "string?",
  tool_calls: "array?",
  tool_call_id: "string?",
  name: "string?",
  error: "string?",
  run_id: "string?",
  step: "number?",
  created_at: "string?",
} as const satisfies Shape;
export type MessageView = Shaped<typeof MESSAGE>;

export const BRANCHED = {
  run_id: "string?",
  new_run_id: "string?",
  checkpoint_id: "string?",
  parent_run_id: "string?",
  branch_id: "string?",
  message: "string?",
} as const satisfies Shape;
export type BranchedView = Shaped<typeof BRANCHED>;

export interface Page<T> {
  readonly items: readonly T[];
  /** How many there are in all. */
  readonly total: number;
  readonly hasMore: boolean;
}

/** Decodes a list: the envelope `{items, has_more, …}`, or a bare array. */
export function pageOf<S extends Shape>(shape: S, body: unknown): Page<Shaped<S>> {
  const items = shapedList(shape, isObject(body) ? body.items : body);
  if (!isObject(body)) return { items, total: items.length, hasMore: false };
  const total = typeof body.total === "number" ? body.total : items.length;
  return { items, total, hasMore: body.has_more === true };
}

/** Says whether canned answers come instead of a model's. */
export function isDemo(info: Pick<InfoView, "demo" | "provider_configured"> | null): boolean {
  return info?.demo ?? info?.provider_configured === false;
}

/** Says whether a request such as `pause_requested` is set, as a flag or as an object that says who asked. */
export function isRequested(value: unknown): boolean {
  return value === true || isObject(value);
}

export function parentOf(run: { readonly parent: unknown }): ParentView | null {
  return shaped(PARENT, run.parent);
}

/** The text of message content: a string, or parts of which those without text are left out. */
export function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (Array.isArray(content)) return content.map(textOf).filter(Boolean).join("\n");
  if (!isObject(content)) return "";
  return textOf(content.text ?? content.message ?? content.content);
}

/** The fields of a view, checked by the compiler: it reads none that the API does not have. */
type Known<View, Wire> = Exclude<keyof View, keyof Wire> extends never ? true : never;

/** Does nothing at run time; it does not compile when a view and the API's description part ways. */
export const KNOWN: readonly [
  Known<typeof RUN, Schemas["RunView"]>,
  Known<typeof AGENT, Schemas["AgentView"]>,
  Known<typeof SESSION, Schemas["SessionView"]>,
  Known<typeof CHECKPOINT, Schemas["CheckpointRow"]>,
  // `message_id` is another server's word for a message's id.
  Known<Omit<typeof MESSAGE, "message_id">, Schemas["MessageView"]>,
] = [true, true, true, true, true];
