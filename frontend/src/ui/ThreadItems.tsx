/** The items of a conversation, one component each. */

import { memo } from "react";
import { duration, glimpse, pretty, span } from "../core/format";
import type { MessageItem, NoticeItem, ReasoningItem, ToolItem } from "../core/run-state";
import { Code, Fold } from "./Fold";
import { Icon, type IconName } from "./Icon";
import { Markdown } from "./Markdown";
import { Status } from "./Status";

export const Message = memo(function Message({ item }: { item: MessageItem }) {
  if (item.role === "user") {
    return (
      <div className="message user">
        <span className="unseen">You: </span>
        {item.text}
      </div>
    );
  }
  return (
    <div className={`message assistant ${item.complete ? "" : "caret"}`}>
      <span className="unseen">Answer: </span>
      <Markdown text={item.text} complete={item.complete} />
    </div>
  );
});

export const Reasoning = memo(function Reasoning({ item }: { item: ReasoningItem }) {
  const ms = span(item.startedAt, item.endedAt);
  const time = ms === null || ms === 0 ? "" : ` for ${duration(ms)}`;
  return (
    <Fold
      icon="thought"
      name={item.complete ? `Thought${time}` : "Thinking…"}
      glimpse={item.complete ? "" : glimpse(item.text.slice(-160), 160)}
    >
      <div className="thought">{item.text}</div>
    </Fold>
  );
});

function errorText(error: unknown): string {
  if (typeof error === "object" && error !== null && "message" in error) return pretty(error.message);
  return pretty(error);
}

const TOOL_STATUS = { running: "running", done: "completed", failed: "failed" } as const;

export const Tool = memo(function Tool({ item }: { item: ToolItem }) {
  const time =
    item.durationMs === undefined ? null : <span className="quiet">{duration(item.durationMs)}</span>;
  const result = item.state === "failed" ? errorText(item.error) : pretty(item.result);
  return (
    <Fold
      icon="tool"
      name={item.name}
      glimpse={glimpse(item.arguments)}
      end={
        <>
          {time}
          <Status status={TOOL_STATUS[item.state]} />
        </>
      }
    >
      <Code label="Arguments" text={pretty(item.arguments) || "none"} />
      {item.state !== "running" && (
        <Code label={item.state === "failed" ? "Error" : "Result"} text={result || "empty"} />
      )}
    </Fold>
  );
});

const NOTICE_ICONS: Readonly<Record<NoticeItem["tone"], IconName>> = {
  info: "info",
  warning: "warning",
  danger: "failed",
};

export const Notice = memo(function Notice({ item }: { item: Pick<NoticeItem, "tone" | "text"> }) {
  return (
    <div className="notice" data-tone={item.tone}>
      <Icon name={NOTICE_ICONS[item.tone]} />
      <span>{item.text}</span>
    </div>
  );
});
