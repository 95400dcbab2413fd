import { type ChangeEvent, type ReactNode, useId } from "react";

interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly hint?: ReactNode;
  readonly error?: string | null;
  /** Lines of a text box; undefined: one line. */
  readonly rows?: number;
  readonly kind?: "text" | "number" | "password" | "search";
  readonly placeholder?: string;
  readonly mono?: boolean;
  readonly required?: boolean;
  readonly disabled?: boolean;
  readonly autoComplete?: string;
  onText(text: string): void;
}

/** A labelled text, with what is wrong with it. */
export function Field(props: FieldProps) {
  const { label, value, hint, error, rows, kind = "text", mono = false, onText, ...rest } = props;
  const id = useId();
  const shared = {
    ...rest,
    id,
    value,
    className: `input ${mono ? "mono" : ""}`,
    "aria-describedby": error || hint !== undefined ? `${id}-note` : undefined,
    "aria-invalid": error ? true : undefined,
    onChange: (event: ChangeEvent<HTMLInputElement | HTMLTextAreaElement>) => onText(event.target.value),
  };
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {rows === undefined ? (
        <input {...shared} type={kind} step={kind === "number" ? "any" : undefined} />
      ) : (
        <textarea {...shared} rows={rows} spellCheck={!mono} />
      )}
      {(error || hint !== undefined) && (
        <div id={`${id}-note`} className="note">
          {error ? <span className="error">{error}</span> : <span className="hint">{hint}</span>}
        </div>
      )}
    </div>
  );
}

interface ChoiceProps<T extends string> {
  readonly label: string;
  readonly value: T;
  readonly choices: readonly { readonly id: T; readonly word: string }[];
  readonly hideLabel?: boolean;
  readonly disabled?: boolean;
  onPick(value: T): void;
}

export function Choice<T extends string>(props: ChoiceProps<T>) {
  const { label, value, choices, hideLabel = false, disabled, onPick } = props;
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id} className={hideLabel ? "unseen" : ""}>
        {label}
      </label>
      <select
        id={id}
        className="input"
        value={value}
        disabled={disabled}
        onChange={(event) => {
          const picked = choices.find((choice) => choice.id === event.target.value);
          if (picked !== undefined) onPick(picked.id);
        }}
      >
        {choices.map((choice) => (
          <option key={choice.id} value={choice.id}>
            {choice.word}
          </option>
        ))}
      </select>
    </div>
  );
}

interface CheckProps {
  readonly label: ReactNode;
  readonly checked: boolean;
  readonly disabled?: boolean;
  onCheck(checked: boolean): void;
}

export function Check({ label, checked, disabled, onCheck }: CheckProps) {
  return (
    <label className="check">
      <input
        type="checkbox"
        checked={checked}
        disabled={disabled}
        onChange={(event) => onCheck(event.target.checked)}
      />
      <span>{label}</span>
    </label>
  );
}
