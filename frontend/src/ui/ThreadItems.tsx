/** The items of a conversation, one component each. */

import { memo } from "react";
import { duration, glimpse, pretty, span } from "../core/format";
import type { Words } from "../core/i18n/words";
import type { MessageItem, NoticeItem, NoticePhrase, ReasoningItem, ToolItem } from "../core/run-state";
import { Code, Fold } from "./Fold";
import { Icon, type IconName } from "./Icon";
import { Markdown } from "./Markdown";
import { Payload } from "./Payload";
import { Status } from "./Status";
import { useWords } from "./words";

export const Message = memo(function Message({ item }: { item: MessageItem }) {
  const words = useWords();
  if (item.role === "user") {
    return (
      <div className="message user">
        <span className="unseen">{words.chat.you}: </span>
        {item.text}
      </div>
    );
  }
  return (
    <div className={`message assistant ${item.complete ? "" : "caret"}`}>
      <span className="unseen">{words.chat.answer}: </span>
      <Markdown text={item.text} complete={item.complete} />
    </div>
  );
});

export const Reasoning = memo(function Reasoning({ item }: { item: ReasoningItem }) {
  const ms = span(item.startedAt, item.endedAt);
  const words = useWords();
  const time = ms === null || ms === 0 ? "" : duration(ms);
  return (
    <Fold
      icon="thought"
      name={item.complete ? words.chat.thought(time) : words.chat.thinking}
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
  const words = useWords();
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
      <Code label={words.chat.arguments} text={pretty(item.arguments) || words.chat.noneGiven} />
      {item.state !== "running" && (
        <Payload
          name={item.state === "failed" ? words.chat.error : words.chat.result}
          text={result || words.chat.nothing}
        />
      )}
    </Fold>
  );
});

const NOTICE_ICONS: Readonly<Record<NoticeItem["tone"], IconName>> = {
  info: "info",
  warning: "warning",
  danger: "failed",
};

function phraseText(phrase: NoticePhrase, words: Words["chat"]): string {
  switch (phrase.kind) {
    case "plan":
      return words.plan(phrase.revised, phrase.plan);
    case "recovered":
      return words.recovered(phrase.drained, phrase.checkpoint);
    case "interrupted":
      return words.interrupted(phrase.reason);
    case "restored":
      return words.restoredBy(phrase.by ?? words.someone);
  }
}

export const Notice = memo(function Notice({
  item,
}: {
  item: Pick<NoticeItem, "tone" | "text"> & Partial<Pick<NoticeItem, "phrase">>;
}) {
  const words = useWords();
  return (
    <div className="notice" data-tone={item.tone}>
      <Icon name={NOTICE_ICONS[item.tone]} />
      <span>{item.phrase === undefined ? item.text : phraseText(item.phrase, words.chat)}</span>
    </div>
  );
});
