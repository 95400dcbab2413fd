/** A conversation as the page shows it: the messages before a run, then the items of the run itself. */

import type { MessageItem, RunState, ThreadItem, ToolItem } from "./run-state";
import { isObject, parseJson } from "./shape";
import { type MessageView, textOf } from "./views";

interface Call {
  readonly id: string;
  readonly name: string;
  readonly arguments: unknown;
}

/** Reads a tool call in Agio's own form or in the chat-completions form. */
function callOf(value: unknown): Call | null {
  if (!isObject(value)) return null;
  const inner = isObject(value.function) ? value.function : value;
  const id = value.id ?? value.tool_call_id;
  if (typeof id !== "string" || typeof inner.name !== "string") return null;
  const raw = inner.arguments;
  return { id, name: inner.name, arguments: typeof raw === "string" ? (parseJson(raw) ?? raw) : raw };
}

const nothing = { result: undefined, error: undefined, durationMs: undefined } as const;

function toolItem(messageId: string, call: Call): ToolItem {
  return {
    ...nothing,
    kind: "tool",
    id: `${messageId}/tool/${call.id}`,
    seq: 0,
    callId: call.id,
    name: call.name,
    state: "done",
    arguments: call.arguments,
  };
}

function itemsOf(message: MessageView, index: number): ThreadItem[] {
  const id = message.id ?? message.message_id ?? `history/${index}`;
  const text = textOf(message.content);
  const items: ThreadItem[] = [];
  if (message.reasoning) {
    const times = { startedAt: undefined, endedAt: undefined };
    const reasoning = { messageId: id, text: message.reasoning, complete: true, ...times };
    items.push({ kind: "reasoning", id: `${id}/reasoning`, seq: 0, ...reasoning });
  }
  if (text !== "") {
    const role = message.role === "user" ? "user" : "assistant";
    items.push({ kind: "message", id, seq: 0, role, text, complete: true });
  }
  for (const raw of message.tool_calls ?? []) {
    const call = callOf(raw);
    if (call !== null) items.push(toolItem(id, call));
  }
  return items;
}

/** Turns stored messages into items; a tool's answer is folded into the call that asked for it. */
export function historyItems(messages: readonly MessageView[]): readonly ThreadItem[] {
  const items: ThreadItem[] = [];
  messages.forEach((message, index) => {
    if (message.role === "system") return;
    if (message.role !== "tool") {
      items.push(...itemsOf(message, index));
      return;
    }
    const at = items.findLastIndex((item) => item.kind === "tool" && item.callId === message.tool_call_id);
    const call = items[at];
    if (call?.kind !== "tool") return;
    const result = textOf(message.content);
    const failed = message.error ? { state: "failed" as const, error: message.error } : {};
    items[at] = { ...call, result, ...failed };
  });
  return items;
}

/**
 * Returns the messages that a run started from, its own question included.
 *
 * The run's answers are left out: its events tell them better. A server that does not say which run a message
 * belongs to is understood by the last question: what follows that is the run's.
 */
export function messagesBefore(messages: readonly MessageView[], runId: string): readonly MessageView[] {
  if (messages.some((message) => message.run_id !== undefined)) {
    return messages.filter((message) => message.run_id !== runId || message.role === "user");
  }
  const question = messages.findLastIndex((message) => message.role === "user");
  return messages.slice(0, question + 1);
}

/** The question as typed, until the server has stored it. */
export function typedQuestion(runId: string, text: string): MessageItem {
  return { kind: "message", id: `typed/${runId}`, seq: 0, role: "user", text, complete: true };
}

/**
 * Returns what was said before a run gave its first event.
 *
 * @param input the run's question, for the time until the server has put it on the branch; empty where it has none.
 */
export function historyOf(
  messages: readonly MessageView[],
  runId: string,
  input: string,
): readonly ThreadItem[] {
  const before = historyItems(messagesBefore(messages, runId));
  const named = messages.some((message) => message.run_id !== undefined);
  const asked = messages.some(({ role, run_id }) => role === "user" && (!named || run_id === runId));
  return asked || input === "" ? before : [...before, typedQuestion(runId, input)];
}

/** Joins history and run; an item that both have is shown once, as the run's events tell it. */
export function threadOf(history: readonly ThreadItem[], run: RunState | null): readonly ThreadItem[] {
  if (run === null || run.items.length === 0) return history;
  const messages = new Set<string>();
  const calls = new Set<string>();
  for (const item of run.items) {
    if (item.kind === "message") messages.add(item.id);
    if (item.kind === "message" && item.role === "user") messages.add(`typed/${run.runId}`);
    if (item.kind === "tool") calls.add(item.callId);
  }
  const told = (item: ThreadItem) =>
    item.kind === "tool" ? isUnanswered(item) && calls.has(item.callId) : messages.has(item.id);
  return [...history.filter((item) => !told(item)), ...run.items];
}

/** A call that the history leaves open, for a fork to make. Only those: call ids may come again in later turns. */
function isUnanswered(item: ToolItem): boolean {
  return item.result === undefined && item.error === undefined;
}

/** Makes the items of a finished run part of the history, so that the next run can follow. */
export function freeze(items: readonly ThreadItem[], runId: string): readonly ThreadItem[] {
  return items.map((item) => (item.seq === 0 ? item : { ...item, id: `${runId}/${item.id}`, seq: 0 }));
}
