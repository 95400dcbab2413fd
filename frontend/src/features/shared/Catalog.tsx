import type { UseQueryResult } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { messageOf } from "../../core/problem";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Confirm";
import { useWords } from "../../ui/words";
import { CopyAs } from "./CopyAs";
import { Loaded } from "./Loaded";

export interface CatalogWords {
  readonly title: string;
  readonly new: string;
  readonly none: string;
  readonly noneHint: string;
}

interface CatalogProps<T> {
  readonly words: CatalogWords;
  readonly query: UseQueryResult<{ readonly items: readonly T[] }>;
  idOf(item: T): string;
  nameOf(item: T): string;
  /** The second line of an item in the list. */
  noteOf(item: T): string;
  /** What is shown of the one that is picked. */
  detail(item: T, onEdit: () => void): ReactNode;
  /** Makes an item (null) or changes one. */
  editor(item: T | null, onClose: () => void): ReactNode;
  /** Beside the button that makes a new one. */
  readonly bar?: ReactNode;
  /** Below the list. */
  readonly children?: ReactNode;
}

/** Everything of one kind: a list, the picked one beside it, and a dialog to make or change one. */
export function Catalog<T>(props: CatalogProps<T>) {
  const { words, query, idOf, nameOf, noteOf, detail, editor, bar, children } = props;
  const navigate = useNavigate();
  const { id: picked } = useSearch({ strict: false }) as { id?: string };
  const [editing, setEditing] = useState<{ item: T | null } | null>(null);
  const pick = (id: string) => void navigate({ to: ".", search: { id }, replace: true });
  return (
    <div className="page">
      <div className="actions-row">
        <Button icon="new" look={["primary"]} onClick={() => setEditing({ item: null })}>
          {words.new}
        </Button>
        {bar}
      </div>
      <Loaded query={query} lines={6}>
        {({ items }) => {
          const current = items.find((item) => idOf(item) === picked) ?? items[0];
          if (current === undefined) return <Nothing words={words} />;
          return (
            <div className="queue">
              <ul className="queue-list" aria-label={words.title}>
                {items.map((item) => (
                  <li key={idOf(item)}>
                    <button
                      type="button"
                      aria-current={item === current ? "true" : undefined}
                      onClick={() => pick(idOf(item))}
                    >
                      <span>{nameOf(item)}</span>
                      <span className="quiet small">{noteOf(item)}</span>
                    </button>
                  </li>
                ))}
              </ul>
              <section className="panel" key={idOf(current)} aria-label={nameOf(current)}>
                <h2>{nameOf(current)}</h2>
                {detail(current, () => setEditing({ item: current }))}
              </section>
            </div>
          );
        }}
      </Loaded>
      {children}
      {editing !== null && editor(editing.item, () => setEditing(null))}
    </div>
  );
}

function Nothing({ words }: { words: CatalogWords }) {
  return (
    <div className="none">
      <p>{words.none}</p>
      <p className="quiet small">{words.noneHint}</p>
    </div>
  );
}

interface RemoveProps {
  /** Set: the call can be copied from the dialog. */
  readonly path?: string;
  readonly title: string;
  readonly hint: string;
  remove(): Promise<unknown>;
  onRemoved(): void;
}

/** A button that asks before it deletes. */
export function Remove({ path, title, hint, remove, onRemoved }: RemoveProps) {
  const words = useWords();
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  async function confirm(): Promise<void> {
    setBusy(true);
    try {
      await remove();
      setAsking(false);
      onRemoved();
    } catch (error) {
      setProblem(messageOf(error));
    } finally {
      setBusy(false);
    }
  }
  return (
    <>
      <Button look={["danger"]} onClick={() => setAsking(true)}>
        {words.app.delete}
      </Button>
      {asking && (
        <Confirm
          title={title}
          hint={hint}
          action={words.app.delete}
          busy={busy}
          problem={problem}
          onConfirm={() => void confirm()}
          onClose={() => setAsking(false)}
        >
          {path !== undefined && (
            <CopyAs actions={[{ name: words.app.delete, action: { method: "DELETE", path } }]} />
          )}
        </Confirm>
      )}
    </>
  );
}
