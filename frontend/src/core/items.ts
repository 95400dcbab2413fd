/** Changes to the items of a thread that events bring. Pure; each returns a new list. */

import { compactedThrough, type EventOf } from "./events";
import type {
  ApprovalItem,
  MessageItem,
  NoticeItem,
  NoticePhrase,
  ReasoningItem,
  ThreadItem,
  ToolItem,
} from "./run-state";
import { textOf } from "./views";

type Items = readonly ThreadItem[];
type Delta = EventOf<"content_delta"> | EventOf<"reasoning_delta">;

/** Replaces the last item for which `find` says yes, or appends `fallback` when there is none. */
function put(
  items: Items,
  find: (item: ThreadItem) => boolean,
  make: (old: ThreadItem | null) => ThreadItem,
): Items {
  const index = items.findLastIndex(find);
  const made = make(items[index] ?? null);
  return index < 0 ? [...items, made] : items.with(index, made);
}

/** A provider that names no message gets one open message per step. */
function messageIdOf(event: Delta): string {
  return event.message_id ?? `step-${event.step ?? 0}`;
}

export function addContent(items: Items, event: EventOf<"content_delta">): Items {
  const id = messageIdOf(event);
  const settled = endReasoning(items, event.at);
  return put(settled, isMessage(id), (old) => {
    const before = old?.kind === "message" && compactedThrough(event) === null ? old.text : "";
    return {
      kind: "message",
      id,
      seq: old?.seq ?? event.seq,
      role: "assistant",
      text: before + event.content,
      complete: false,
    } satisfies MessageItem;
  });
}

export function addReasoning(items: Items, event: EventOf<"reasoning_delta">): Items {
  const messageId = messageIdOf(event);
  const id = `${messageId}/reasoning`;
  return put(items, hasId(id), (old) => {
    const open = old?.kind === "reasoning" ? old : null;
    const before = compactedThrough(event) === null ? (open?.text ?? "") : "";
    return {
      kind: "reasoning",
      id,
      seq: open?.seq ?? event.seq,
      messageId,
      text: before + event.content,
      complete: false,
      startedAt: open?.startedAt ?? event.at,
      endedAt: event.at,
    } satisfies ReasoningItem;
  });
}

/** Closes reasoning that is still open: something else has begun. */
export function endReasoning(items: Items, at: string | undefined): Items {
  if (!items.some((item) => item.kind === "reasoning" && !item.complete)) return items;
  return items.map((item) =>
    item.kind === "reasoning" && !item.complete
      ? { ...item, complete: true, endedAt: at ?? item.endedAt }
      : item,
  );
}

/** Drops what was shown of a message: its step is done again. */
export function dropMessage(items: Items, messageId: string): Items {
  return items.filter(
    (item) =>
      !(item.kind === "message" && item.id === messageId) &&
      !(item.kind === "reasoning" && item.messageId === messageId),
  );
}

/** Drops everything that came after an event: the run went back to it. */
export function dropAfter(items: Items, seq: number): Items {
  return items.filter((item) => item.seq <= seq);
}

export function completeMessage(items: Items, event: EventOf<"message_completed">): Items {
  if (event.role !== "assistant" && event.role !== "user") return items;
  const role = event.role;
  const text = textOf(event.content);
  const settled = endReasoning(items, event.at);
  const shown = settled.some(isMessage(event.message_id));
  // A message that only calls tools has no text; the calls have items of their own.
  if (!shown && text === "") return settled;
  return put(settled, isMessage(event.message_id), (old) => {
    const deltas = old?.kind === "message" ? old.text : "";
    return {
      kind: "message",
      id: event.message_id,
      seq: old?.seq ?? event.seq,
      role,
      text: text === "" ? deltas : text,
      complete: true,
    } satisfies MessageItem;
  });
}

/** Marks every open item as final: the run has ended. */
export function settle(items: Items, at: string | undefined): Items {
  return endReasoning(items, at).map((item) =>
    item.kind === "message" && !item.complete ? { ...item, complete: true } : item,
  );
}

/** A call that is made again after a failure stays one item; providers that number anew in each step do not. */
export function startTool(items: Items, event: EventOf<"tool_call_started">): Items {
  return put(endReasoning(items, event.at), isOpenTool(event.tool_call_id), (old) => ({
    kind: "tool",
    id: old?.id ?? `tool/${event.tool_call_id}/${event.seq}`,
    seq: old?.seq ?? event.seq,
    callId: event.tool_call_id,
    name: event.name,
    state: "running",
    arguments: event.arguments,
    result: undefined,
    error: undefined,
    durationMs: undefined,
  }));
}

export function endTool(
  items: Items,
  event: EventOf<"tool_call_completed"> | EventOf<"tool_call_failed">,
): Items {
  const failed = event.type === "tool_call_failed";
  return put(items, isTool(event.tool_call_id), (old) => {
    const call = old?.kind === "tool" ? old : null;
    return {
      kind: "tool",
      id: call?.id ?? `tool/${event.tool_call_id}/${event.seq}`,
      seq: call?.seq ?? event.seq,
      callId: event.tool_call_id,
      name: event.name ?? call?.name ?? "tool",
      state: failed ? "failed" : "done",
      arguments: call?.arguments,
      result: failed ? undefined : event.result,
      error: failed ? event.error : undefined,
      durationMs: event.duration_ms,
    } satisfies ToolItem;
  });
}

export function askApproval(items: Items, event: EventOf<"approval_required">): Items {
  return put(endReasoning(items, event.at), hasId(`approval/${event.approval_id}`), (old) => ({
    kind: "approval",
    id: `approval/${event.approval_id}`,
    seq: old?.seq ?? event.seq,
    approvalId: event.approval_id,
    callId: event.tool_call_id,
    name: event.name,
    arguments: event.arguments,
    reason: event.reason,
    decision: null,
    by: undefined,
    note: undefined,
  }));
}

export function resolveApproval(items: Items, event: EventOf<"approval_resolved">): Items {
  return items.map((item) =>
    item.kind === "approval" && item.approvalId === event.approval_id
      ? ({
          ...item,
          arguments: event.arguments ?? item.arguments,
          decision: event.decision,
          by: event.by,
          note: event.note,
        } satisfies ApprovalItem)
      : item,
  );
}

export function addNotice(
  items: Items,
  seq: number,
  tone: NoticeItem["tone"],
  said: string | NoticePhrase,
): Items {
  const words = typeof said === "string" ? { text: said } : { text: "", phrase: said };
  return [...items, { kind: "notice", id: `notice/${seq}`, seq, tone, ...words }];
}

function hasId(id: string): (item: ThreadItem) => boolean {
  return (item) => item.id === id;
}

function isMessage(id: string): (item: ThreadItem) => boolean {
  return (item) => item.kind === "message" && item.id === id;
}

function isTool(callId: string): (item: ThreadItem) => boolean {
  return (item) => item.kind === "tool" && item.callId === callId;
}

function isOpenTool(callId: string): (item: ThreadItem) => boolean {
  return (item) => item.kind === "tool" && item.callId === callId && item.state !== "done";
}
