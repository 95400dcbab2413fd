import { type FormEvent, useId, useState } from "react";
import { pretty } from "../core/format";
import type { ApprovalItem } from "../core/run-state";
import { isObject, parseJson } from "../core/shape";
import { Button } from "./Button";
import { Code, Fold } from "./Fold";
import { Icon } from "./Icon";
import { useWords } from "./words";

export interface ApprovalAnswer {
  readonly decision: "approve" | "reject";
  readonly note?: string;
  readonly arguments?: unknown;
}

interface ApprovalProps {
  readonly item: ApprovalItem;
  /** False once the run has ended: nobody waits for an answer any more. */
  readonly open: boolean;
  readonly busy: boolean;
  onDecide(approvalId: string, answer: ApprovalAnswer): void;
}

export function Approval(props: ApprovalProps) {
  const { item, open } = props;
  return item.decision === null && open ? <Question {...props} /> : <Answered item={item} />;
}

function Answered({ item }: { item: ApprovalItem }) {
  const words = useWords();
  const { notDecided, approved, rejected } = words.approvals;
  const word = item.decision === null ? notDecided : item.decision === "approve" ? approved : rejected;
  const by = item.by === undefined ? "" : words.approvals.by(item.by);
  const icon = item.decision === "approve" ? "approve" : "cancelled";
  return (
    <Fold icon={icon} name={`${word}${by}`} glimpse={item.note ? `${item.name}: ${item.note}` : item.name}>
      <Code label={words.chat.arguments} text={pretty(item.arguments) || words.chat.noneGiven} />
    </Fold>
  );
}

type Mode = "ask" | "edit" | "reject";

function Question({ item, busy, onDecide }: ApprovalProps) {
  const words = useWords();
  const [mode, setMode] = useState<Mode>("ask");
  const headingId = useId();
  return (
    <section className="card" aria-labelledby={headingId}>
      <h2 id={headingId} className="card-title">
        <Icon name="waiting" />
        <span>
          {words.approvals.ask} <code>{item.name}</code>?
        </span>
      </h2>
      {item.reason && <p>{item.reason}</p>}
      {mode !== "edit" && (
        <Code label={words.chat.arguments} text={pretty(item.arguments) || words.chat.noneGiven} />
      )}
      {mode === "ask" && (
        <div className="actions">
          <Button
            icon="approve"
            look={["primary"]}
            disabled={busy}
            onClick={() => onDecide(item.approvalId, { decision: "approve" })}
          >
            {words.approvals.approve}
          </Button>
          <Button icon="edit" disabled={busy} onClick={() => setMode("edit")}>
            {words.approvals.editArguments}
          </Button>
          <Button icon="close" look={["danger"]} disabled={busy} onClick={() => setMode("reject")}>
            {words.approvals.reject}
          </Button>
        </div>
      )}
      {mode === "edit" && (
        <EditArguments
          start={pretty(item.arguments)}
          busy={busy}
          onBack={() => setMode("ask")}
          onSend={(args) => onDecide(item.approvalId, { decision: "approve", arguments: args })}
        />
      )}
      {mode === "reject" && (
        <Reject
          busy={busy}
          onBack={() => setMode("ask")}
          onSend={(note) =>
            onDecide(item.approvalId, { decision: "reject", ...(note === "" ? {} : { note }) })
          }
        />
      )}
    </section>
  );
}

/** The person has just asked for this field. */
function takeFocus(field: HTMLElement | null): void {
  field?.focus();
}

interface EditProps {
  readonly start: string;
  readonly busy: boolean;
  onBack(): void;
  onSend(args: unknown): void;
}

export function EditArguments({ start, busy, onBack, onSend }: EditProps) {
  const words = useWords();
  const [text, setText] = useState(start);
  const id = useId();
  const value = parseJson(text);
  const valid = isObject(value);
  function submit(event: FormEvent) {
    event.preventDefault();
    if (valid) onSend(value);
  }
  return (
    <form className="section" onSubmit={submit}>
      <label htmlFor={id}>{words.approvals.jsonObject}</label>
      <textarea
        id={id}
        ref={takeFocus}
        className="input mono"
        rows={Math.min(14, text.split("\n").length + 1)}
        spellCheck={false}
        value={text}
        onChange={(event) => setText(event.target.value)}
        aria-invalid={!valid}
        aria-describedby={`${id}-error`}
      />
      <p id={`${id}-error`} className="error" role="status">
        {valid ? "" : words.approvals.notJson}
      </p>
      <div className="actions">
        <Button type="submit" icon="approve" look={["primary"]} disabled={busy || !valid}>
          {words.approvals.approveThese}
        </Button>
        <Button onClick={onBack}>{words.app.back}</Button>
      </div>
    </form>
  );
}

interface RejectProps {
  readonly busy: boolean;
  onBack(): void;
  onSend(note: string): void;
}

export function Reject({ busy, onBack, onSend }: RejectProps) {
  const words = useWords();
  const [note, setNote] = useState("");
  const id = useId();
  function submit(event: FormEvent) {
    event.preventDefault();
    onSend(note.trim());
  }
  return (
    <form className="section" onSubmit={submit}>
      <label htmlFor={id}>{words.approvals.reason}</label>
      <input
        id={id}
        ref={takeFocus}
        className="input"
        value={note}
        onChange={(event) => setNote(event.target.value)}
      />
      <div className="actions">
        <Button type="submit" icon="close" look={["danger"]} disabled={busy}>
          {words.approvals.reject}
        </Button>
        <Button onClick={onBack}>{words.app.back}</Button>
      </div>
    </form>
  );
}
