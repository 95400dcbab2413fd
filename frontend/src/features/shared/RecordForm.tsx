import { type FormEvent, type ReactNode, useState } from "react";
import { messageOf } from "../../core/problem";
import { bodyOf, changesOf, type Draft, draftOf, type RecordField, wrongIn } from "../../core/record-form";
import type { Action } from "../../core/snippets";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { Check, Choice, Field } from "../../ui/Field";
import { useWords } from "../../ui/words";
import { CopyAs } from "./CopyAs";

type Body = Readonly<Record<string, unknown>>;

interface RecordDialogProps<T> {
  readonly title: string;
  readonly fields: readonly RecordField[];
  /** Null: a new one. */
  readonly record: T | null;
  /** What a new one starts with, in place of what the fields say. */
  readonly start?: Draft;
  /** Sends a new record's body, or what differs from the present one. */
  save(body: Body): Promise<unknown>;
  /** The call that `save` makes, to be copied. */
  call(body: Body): Action;
  onSaved(): void;
  onClose(): void;
  /** On the button; by itself it says Create or Save. */
  readonly action?: string;
  /** Above the fields. */
  readonly children?: ReactNode;
}

/** Makes or changes one record; the server says what is wrong with it. */
export function RecordDialog<T>(props: RecordDialogProps<T>) {
  const { title, fields, record, start, save, call, onSaved, onClose, children } = props;
  const words = useWords();
  const shown = fields.filter(({ fixed }) => record === null || fixed !== true);
  const [draft, setDraft] = useState<Draft>({ ...draftOf(shown, record), ...start });
  const [state, setState] = useState<{ busy: boolean; problem: string | null; tried: boolean }>({
    busy: false,
    problem: null,
    tried: false,
  });
  const wrong = wrongIn(shown, draft);
  const body = () => (record === null ? bodyOf(shown, draft) : changesOf(shown, draft, record));
  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault();
    setState({ busy: wrong.length === 0, problem: null, tried: true });
    if (wrong.length > 0) return;
    try {
      await save(body());
      onSaved();
    } catch (error) {
      setState({ busy: false, problem: messageOf(error), tried: true });
    }
  }
  const action = props.action ?? (record === null ? words.app.create : words.app.save);
  return (
    <Dialog title={title} onClose={onClose}>
      <form className="form" onSubmit={(event) => void submit(event)} noValidate>
        {state.problem !== null && <Banner tone="danger">{state.problem}</Banner>}
        {children}
        <RecordFields
          fields={shown}
          draft={draft}
          wrong={state.tried ? wrong : []}
          onChange={(name, text) => setDraft((old) => ({ ...old, [name]: text }))}
        />
        <div className="actions">
          <CopyAs actions={[{ name: action, action: call(body()) }]} />
          <span className="gap" />
          <Button onClick={onClose}>{words.app.cancel}</Button>
          <Button type="submit" look={["primary"]} disabled={state.busy}>
            {action}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

interface RecordFieldsProps {
  readonly fields: readonly RecordField[];
  readonly draft: Draft;
  readonly wrong: readonly string[];
  onChange(name: string, text: string): void;
}

const ROWS = { area: 4, code: 8, json: 5 } as const;

function RecordFields({ fields, draft, wrong, onChange }: RecordFieldsProps) {
  const words = useWords();
  return fields.map((field) => {
    const { name, label, kind, hint } = field;
    const value = draft[name] ?? "";
    const onText = (text: string) => onChange(name, text);
    if (kind === "check") {
      return (
        <Check
          key={name}
          label={label}
          checked={value === "true"}
          onCheck={(checked) => onText(String(checked))}
        />
      );
    }
    if (kind === "choice") {
      return (
        <Choice key={name} label={label} value={value} choices={withValue(field, value)} onPick={onText} />
      );
    }
    const long = kind === "area" || kind === "code" || kind === "json";
    const missing = value.trim() === "";
    return (
      <Field
        key={name}
        label={label}
        value={value}
        rows={long ? ROWS[kind] : undefined}
        mono={kind === "code" || kind === "json"}
        kind={kind === "number" ? "number" : kind === "secret" ? "password" : "text"}
        autoComplete={kind === "secret" ? "off" : undefined}
        hint={hint}
        required={field.required}
        error={wrong.includes(name) ? (missing ? words.build.missing : words.build.unreadable) : null}
        onText={onText}
      />
    );
  });
}

/** A record may name what is not offered any more. */
function withValue({ choices = [] }: RecordField, value: string): NonNullable<RecordField["choices"]> {
  return choices.some(({ id }) => id === value) ? choices : [{ id: value, word: value }, ...choices];
}
