import { type FormEvent, type ReactNode, useId, useState } from "react";
import { Button } from "./Button";
import { Notice } from "./ThreadItems";

export interface ForkFields {
  readonly systemPrompt: string;
  readonly query: string;
  readonly model: string;
  readonly maxSteps: string;
}

const UNCHANGED: ForkFields = { systemPrompt: "", query: "", model: "", maxSteps: "" };

interface ForkFormProps {
  /** What holds now, shown where nothing is typed. */
  readonly current: ForkFields;
  readonly busy: boolean;
  readonly problem: string | null;
  onFork(fields: ForkFields): void;
  onClose(): void;
}

export function ForkForm({ current, busy, problem, onFork, onClose }: ForkFormProps) {
  const [fields, setFields] = useState(UNCHANGED);
  const set = (name: keyof ForkFields) => (text: string) => setFields((old) => ({ ...old, [name]: text }));
  function submit(event: FormEvent) {
    event.preventDefault();
    onFork(fields);
  }
  const kept = (text: string) => (text === "" ? "Unchanged" : `Unchanged: ${text}`);
  return (
    <form onSubmit={submit}>
      <p className="quiet small">A new run on a new branch. What is left empty stays as it was.</p>
      <TextField
        label="System prompt"
        rows={3}
        hint={kept(current.systemPrompt)}
        onText={set("systemPrompt")}
      />
      <TextField
        label="Modified query"
        rows={2}
        hint={kept(current.query)}
        note="Replaces the last question; what followed it is left out."
        onText={set("query")}
      />
      <TextField label="Model" hint={kept(current.model)} onText={set("model")} />
      <TextField label="Max steps" kind="number" hint={kept(current.maxSteps)} onText={set("maxSteps")} />
      <div role="alert">{problem !== null && <Notice item={{ tone: "danger", text: problem }} />}</div>
      <div className="actions">
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" icon="branch" look={["primary"]} disabled={busy}>
          Fork
        </Button>
      </div>
    </form>
  );
}

interface TextFieldProps {
  readonly label: string;
  readonly hint: string;
  readonly note?: ReactNode;
  readonly rows?: number;
  readonly kind?: "text" | "number";
  onText(text: string): void;
}

function TextField({ label, hint, note, rows, kind = "text", onText }: TextFieldProps) {
  const id = useId();
  const noteId = note === undefined ? undefined : `${id}-note`;
  const shared = { id, className: "input", placeholder: hint, "aria-describedby": noteId } as const;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {rows === undefined ? (
        <input
          {...shared}
          type={kind}
          min={kind === "number" ? 1 : undefined}
          step={kind === "number" ? 1 : undefined}
          onChange={(event) => onText(event.target.value)}
        />
      ) : (
        <textarea {...shared} rows={rows} onChange={(event) => onText(event.target.value)} />
      )}
      {note !== undefined && (
        <p id={noteId} className="hint">
          {note}
        </p>
      )}
    </div>
  );
}
