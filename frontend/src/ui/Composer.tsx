import { type FormEvent, type KeyboardEvent, type ReactNode, useId } from "react";
import { useWords } from "./words";

interface ComposerProps {
  readonly draft: string;
  readonly hint: string;
  onDraft(draft: string): void;
  /** Null while nothing can be sent. */
  readonly onSend: (() => void) | null;
  /** The controls that fit the run's status. */
  readonly children: ReactNode;
}

export function Composer({ draft, hint, onDraft, onSend, children }: ComposerProps) {
  const words = useWords();
  const hintId = useId();
  function submit(event: FormEvent) {
    event.preventDefault();
    onSend?.();
  }
  function onKeyDown(event: KeyboardEvent) {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    onSend?.();
  }
  return (
    <form className="composer" onSubmit={submit}>
      <div className="box">
        <textarea
          id="message"
          aria-label={words.chat.message}
          aria-describedby={hintId}
          placeholder={words.chat.ask}
          rows={1}
          value={draft}
          onChange={(event) => onDraft(event.target.value)}
          onKeyDown={onKeyDown}
        />
        <div className="bar">
          <span className="hint" id={hintId}>
            {hint}
          </span>
          {children}
        </div>
      </div>
    </form>
  );
}
