import type { ReactNode } from "react";
import { Button } from "./Button";
import { Dialog } from "./Dialog";
import { useWords } from "./words";

interface ConfirmProps {
  readonly title: string;
  readonly hint: string;
  readonly action: string;
  readonly keep?: string;
  readonly busy?: boolean;
  readonly problem?: string | null;
  /** Before the buttons. */
  readonly children?: ReactNode;
  onConfirm(): void;
  onClose(): void;
}

/** Asks before something that cannot be undone. */
export function Confirm(props: ConfirmProps) {
  const words = useWords();
  const { title, hint, action, keep, busy = false, problem, children, onConfirm, onClose } = props;
  return (
    <Dialog title={title} onClose={onClose}>
      <div className="dialog-body">
        <p>{hint}</p>
        <div role="alert">{problem && <p className="error">{problem}</p>}</div>
        <div className="actions">
          {children !== undefined && (
            <>
              {children}
              <span className="gap" />
            </>
          )}
          <Button onClick={onClose}>{keep ?? words.app.cancel}</Button>
          <Button look={["danger"]} disabled={busy} onClick={onConfirm}>
            {action}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
