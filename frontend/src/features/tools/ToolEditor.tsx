import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { Schemas } from "../../core/client";
import { messageOf } from "../../core/problem";
import { isObject, parseJson } from "../../core/shape";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { Check, Field } from "../../ui/Field";
import { useWords } from "../../ui/words";
import { useServices } from "../app/services";

type Tool = Schemas["ToolView"];

interface ToolEditorProps {
  /** Null: a new one. */
  readonly tool: Tool | null;
  onClose(): void;
  onSaved(tool: Tool): void;
}

const EXAMPLE = { method: "GET", url: "https://example.com/items/{id}" };
const PARAMETERS = { type: "object", properties: { id: { type: "string" } }, required: ["id"] };

/** A tool that calls a URL, described by JSON; the server says what is wrong with it. */
export function ToolEditor({ tool, onClose, onSaved }: ToolEditorProps) {
  const words = useWords();
  const { client } = useServices();
  const queryClient = useQueryClient();
  const [name, setName] = useState(tool?.name ?? "");
  const [description, setDescription] = useState(tool?.description ?? "");
  const [configuration, setConfiguration] = useState(JSON.stringify(tool?.configuration ?? EXAMPLE, null, 2));
  const [parameters, setParameters] = useState(JSON.stringify(tool?.parameters ?? PARAMETERS, null, 2));
  const [approval, setApproval] = useState(tool?.requires_approval ?? false);
  const parsed = { configuration: parseJson(configuration), parameters: parseJson(parameters) };
  const wrong = (value: unknown) => (isObject(value) ? null : words.tools.invalidJson);
  const save = useMutation({
    mutationFn: (): Promise<Tool> => {
      const body = {
        name,
        description,
        // The server checks it; this form only knows that it is an object.
        configuration: parsed.configuration as Schemas["ToolBody"]["configuration"],
        parameters: isObject(parsed.parameters) ? parsed.parameters : {},
        requires_approval: approval,
      };
      return tool === null
        ? client.post("/api/tools", { body })
        : client.patch("/api/tools/{tool_id}", { path: { tool_id: tool.id }, body });
    },
    onSuccess: (saved) => {
      void queryClient.invalidateQueries({ queryKey: ["tools"] });
      onSaved(saved);
    },
  });
  function submit(event: FormEvent): void {
    event.preventDefault();
    save.mutate();
  }
  const readable = isObject(parsed.configuration) && isObject(parsed.parameters) && name.trim() !== "";
  return (
    <Dialog title={tool?.name ?? words.tools.new} onClose={onClose}>
      <form onSubmit={submit}>
        {save.error !== null && <Banner tone="danger">{messageOf(save.error)}</Banner>}
        <Field label={words.app.name} value={name} required onText={setName} />
        <Field label={words.agents.description} value={description} onText={setDescription} />
        <Field
          label={words.tools.configuration}
          rows={6}
          mono
          value={configuration}
          error={wrong(parsed.configuration)}
          onText={setConfiguration}
        />
        <Field
          label={words.tools.parameters}
          rows={6}
          mono
          value={parameters}
          error={wrong(parsed.parameters)}
          onText={setParameters}
        />
        <Check label={words.tools.needsApproval} checked={approval} onCheck={setApproval} />
        <div className="actions">
          <Button onClick={onClose}>{words.app.cancel}</Button>
          <Button type="submit" look={["primary"]} disabled={save.isPending || !readable}>
            {words.app.save}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
