import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { Schemas } from "../../core/client";
import { duration } from "../../core/format";
import { messageOf } from "../../core/problem";
import { type FormField, formFields, readForm } from "../../core/schema-form";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { Choice, Field } from "../../ui/Field";
import { Payload } from "../../ui/Payload";
import { Status } from "../../ui/Status";
import { useWords } from "../../ui/words";
import { useServices } from "../app/services";
import { CopyAs } from "../shared/CopyAs";

/** Calls a tool with arguments from a form that its schema describes. */
export function ToolTester({ tool }: { tool: Schemas["ToolView"] }) {
  const words = useWords();
  const { client } = useServices();
  const fields = formFields(tool.parameters);
  const [typed, setTyped] = useState<Readonly<Record<string, string>>>({});
  const [tried, setTried] = useState(false);
  const { value, wrong } = readForm(fields, typed);
  const trial = useMutation({
    mutationFn: () =>
      client.post("/api/tools/{tool_id}/test", { path: { tool_id: tool.id }, body: { arguments: value } }),
  });
  function submit(event: FormEvent): void {
    event.preventDefault();
    setTried(true);
    if (wrong.length === 0) trial.mutate();
  }
  return (
    <form className="form tester" onSubmit={submit} aria-label={words.tools.tester}>
      <h3>{words.tools.tester}</h3>
      <p className="quiet small">{words.tools.testerHint}</p>
      {fields.length === 0 && <p className="quiet small">{words.tools.noFields}</p>}
      {fields.map((field) => (
        <Input
          key={field.name}
          field={field}
          value={typed[field.name] ?? field.initial}
          wrong={tried && wrong.includes(field.name)}
          onText={(text) => setTyped((old) => ({ ...old, [field.name]: text }))}
        />
      ))}
      <div className="actions-row">
        <Button type="submit" icon="tool" look={["primary"]} disabled={trial.isPending}>
          {words.tools.call}
        </Button>
        <CopyAs
          actions={[
            {
              name: words.tools.call,
              action: {
                method: "POST",
                path: `/api/tools/${encodeURIComponent(tool.id)}/test`,
                body: { arguments: value },
              },
            },
          ]}
        />
        {trial.data && <Status status={trial.data.ok ? "completed" : "failed"} />}
        {trial.data && (
          <span className="quiet small">{words.tools.took(duration(trial.data.duration_ms))}</span>
        )}
      </div>
      {trial.error !== null && <Banner tone="danger">{messageOf(trial.error)}</Banner>}
      {trial.data && (
        <Payload
          text={trial.data.error?.message ?? trial.data.result ?? words.chat.nothing}
          name={trial.data.ok ? words.chat.result : words.chat.error}
        />
      )}
    </form>
  );
}

interface InputProps {
  readonly field: FormField;
  readonly value: string;
  readonly wrong: boolean;
  onText(text: string): void;
}

function Input({ field, value, wrong, onText }: InputProps) {
  const words = useWords();
  const label = `${field.label}${field.required ? ` (${words.tools.required})` : ""}`;
  if (field.kind === "choice" || field.kind === "boolean") {
    const choices = field.kind === "boolean" ? ["true", "false"] : field.choices;
    return (
      <Choice
        label={label}
        value={value}
        choices={[{ id: "", word: "" }, ...choices.map((id) => ({ id, word: id }))]}
        onPick={onText}
      />
    );
  }
  return (
    <Field
      label={label}
      value={value}
      rows={field.kind === "json" ? 3 : undefined}
      mono={field.kind === "json"}
      hint={field.description}
      error={wrong ? words.tools.wrong : null}
      onText={onText}
    />
  );
}
