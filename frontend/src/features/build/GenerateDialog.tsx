import { useMutation } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";
import type { Client, Schemas } from "../../core/client";
import { messageOf } from "../../core/problem";
import type { Draft } from "../../core/record-form";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { Field } from "../../ui/Field";
import { useWords } from "../../ui/words";
import { useServices } from "../app/services";
import { CopyAs } from "../shared/CopyAs";

export interface Drafted {
  /** What the form of a new record starts with. */
  readonly start: Draft;
  /** Who wrote it. */
  readonly note: ReactNode;
}

export interface Written {
  readonly start: Draft;
  readonly notice: string | null;
}

export interface GenerateProps {
  readonly title: string;
  /** Of the call, to be copied. */
  readonly path: string;
  /** Asks the model. */
  ask(client: Client, body: Schemas["GenerationBody"]): Promise<Written>;
  onDraft(draft: Drafted): void;
  onClose(): void;
}

/** Asks a model for a draft; nothing is saved by it. */
export function GenerateDialog({ title, path, ask, onDraft, onClose }: GenerateProps) {
  const words = useWords();
  const { client } = useServices();
  const [description, setDescription] = useState("");
  const [model, setModel] = useState("");
  const body = { description, ...(model.trim() === "" ? {} : { model: model.trim() }) };
  const write = useMutation({
    mutationFn: () => ask(client, body),
    onSuccess: ({ start, notice }) => {
      onDraft({ start, note: notice === null ? null : <Banner tone="info">{notice}</Banner> });
    },
  });
  function submit(event: FormEvent): void {
    event.preventDefault();
    write.mutate();
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <form className="form" onSubmit={submit}>
        <p className="quiet small">{words.generate.hint}</p>
        {write.error !== null && <Banner tone="danger">{messageOf(write.error)}</Banner>}
        <Field
          label={words.generate.describe}
          rows={4}
          value={description}
          required
          onText={setDescription}
        />
        <Field label={words.generate.model} value={model} onText={setModel} />
        <p role="status" className="quiet small">
          {write.isPending && words.generate.busy}
        </p>
        <div className="actions">
          <CopyAs actions={[{ name: title, action: { method: "POST", path, body } }]} />
          <span className="gap" />
          <Button onClick={onClose}>{words.app.cancel}</Button>
          <Button type="submit" look={["primary"]} disabled={write.isPending || description.trim() === ""}>
            {words.generate.go}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
