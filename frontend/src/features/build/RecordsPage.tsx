import { type UseQueryResult, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import type { Draft, RecordField } from "../../core/record-form";
import type { Action } from "../../core/snippets";
import { Button } from "../../ui/Button";
import { type Figure, Figures } from "../../ui/Figures";
import { useWords } from "../../ui/words";
import { Catalog, type CatalogWords, Remove } from "../shared/Catalog";
import { CopyAs, type NamedAction } from "../shared/CopyAs";
import { RecordDialog } from "../shared/RecordForm";
import { type Drafted, GenerateDialog, type GenerateProps } from "./GenerateDialog";

export type Body = Readonly<Record<string, unknown>>;

export interface Records<T> {
  readonly words: CatalogWords;
  readonly query: UseQueryResult<{ readonly items: readonly T[] }>;
  /** What is read again when something has changed. */
  readonly queryKey: string;
  readonly fields: readonly RecordField[];
  idOf(item: T): string;
  nameOf(item: T): string;
  noteOf(item: T): string;
  /** Of one item, and of all (null). */
  pathOf(item: T | null): string;
  readonly changeBy: "PUT" | "PATCH";
  /** Returns what was made; it is what is shown next. */
  create(body: Body): Promise<T>;
  change(item: T, body: Body): Promise<unknown>;
  remove(item: T): Promise<unknown>;
  facts(item: T): readonly Figure[];
  /** Below the facts. */
  more?(item: T): ReactNode;
  /** How a model drafts one. */
  readonly generate?: Pick<GenerateProps, "title" | "path" | "ask">;
  /** Below the list. */
  readonly children?: ReactNode;
}

/** Everything of one kind that is kept: listed, made, drafted by a model, changed and deleted. */
export function RecordsPage<T>(props: Records<T>) {
  const { words: kind, query, queryKey, fields, idOf, nameOf, noteOf, pathOf, facts, more, generate } = props;
  const words = useWords();
  const queryClient = useQueryClient();
  const navigate = useNavigate();
  const [asking, setAsking] = useState(false);
  const [drafted, setDrafted] = useState<Drafted | null>(null);
  const done = () => void queryClient.invalidateQueries({ queryKey: [queryKey] });
  const make = async (body: Body) => {
    const made = await props.create(body);
    await queryClient.invalidateQueries({ queryKey: [queryKey] });
    await navigate({ to: ".", search: { id: idOf(made) }, replace: true });
  };
  const dialog = (item: T | null, onClose: () => void, start?: Draft, note?: ReactNode) => (
    <RecordDialog
      title={item === null ? kind.new : nameOf(item)}
      fields={fields}
      record={item}
      start={start}
      save={(body) => (item === null ? make(body) : props.change(item, body))}
      call={(body): Action => ({
        method: item === null ? "POST" : props.changeBy,
        path: pathOf(item),
        body,
      })}
      onSaved={() => {
        done();
        onClose();
      }}
      onClose={onClose}
    >
      {note}
    </RecordDialog>
  );
  const actions = (item: T): readonly NamedAction[] => [
    { name: words.app.delete, action: { method: "DELETE", path: pathOf(item) } },
  ];
  return (
    <>
      <Catalog
        words={kind}
        query={query}
        idOf={idOf}
        nameOf={nameOf}
        noteOf={noteOf}
        detail={(item, onEdit) => (
          <>
            <div className="actions-row">
              <Button icon="edit" onClick={onEdit}>
                {words.app.edit}
              </Button>
              <Remove
                title={words.build.remove(nameOf(item))}
                hint={words.build.removeHint}
                remove={() => props.remove(item)}
                onRemoved={done}
              />
              <CopyAs actions={actions(item)} />
            </div>
            <Figures figures={facts(item)} />
            {more?.(item)}
          </>
        )}
        editor={(item, onClose) => dialog(item, onClose)}
        bar={
          generate !== undefined && (
            <Button icon="thought" onClick={() => setAsking(true)}>
              {generate.title}
            </Button>
          )
        }
      >
        {props.children}
      </Catalog>
      {asking && generate !== undefined && (
        <GenerateDialog
          {...generate}
          onDraft={(draft) => {
            setAsking(false);
            setDrafted(draft);
          }}
          onClose={() => setAsking(false)}
        />
      )}
      {drafted !== null && dialog(null, () => setDrafted(null), drafted.start, drafted.note)}
    </>
  );
}
