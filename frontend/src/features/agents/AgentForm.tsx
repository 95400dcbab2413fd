import { useQuery } from "@tanstack/react-query";
import type { AgentDraft } from "../../core/agent-draft";
import type { FieldError } from "../../core/problem";
import { Check, Choice, Field } from "../../ui/Field";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";

interface AgentFormProps {
  readonly draft: AgentDraft;
  readonly fresh: boolean;
  readonly readOnly: boolean;
  /** What the server refused. */
  readonly fields: readonly FieldError[];
  onChange(changes: Partial<AgentDraft>): void;
}

export function AgentForm({ draft, fresh, readOnly, fields, onChange }: AgentFormProps) {
  const words = useWords();
  const { client } = useServices();
  const info = useQuery(queries.info(client));
  const tools = useQuery(queries.tools(client));
  const error = (name: string) => fields.find(({ field }) => field.endsWith(name))?.message ?? null;
  const text = (name: "id" | "name" | "description" | "model" | "tags" | "temperature" | "maxSteps") => ({
    value: draft[name],
    disabled: readOnly,
    onText: (value: string) => onChange({ [name]: value }),
  });
  const names = [...new Set([...(tools.data?.items ?? []).map(({ name }) => name), ...draft.tools])];
  const providers = [...new Set([...(info.data?.providers ?? []), draft.provider].filter(Boolean))];
  return (
    <>
      {fresh && <Field label={words.agents.id} {...text("id")} error={error("id")} />}
      <Field label={words.app.name} {...text("name")} required error={error("name")} />
      <Field label={words.agents.description} {...text("description")} error={error("description")} />
      <div className="pair">
        <Choice
          label={words.agents.provider}
          value={draft.provider}
          disabled={readOnly}
          choices={[
            { id: "", word: words.agents.defaultModel },
            ...providers.map((id) => ({ id, word: id })),
          ]}
          onPick={(provider) => onChange({ provider })}
        />
        <Field
          label={words.agents.model}
          {...text("model")}
          placeholder={info.data?.model ?? words.agents.defaultModel}
          error={error("model")}
        />
      </div>
      <Field
        label={words.agents.systemPrompt}
        rows={6}
        value={draft.systemPrompt}
        disabled={readOnly}
        onText={(systemPrompt) => onChange({ systemPrompt })}
        error={error("system_prompt")}
      />
      <fieldset className="checks" disabled={readOnly}>
        <legend>{words.agents.tools}</legend>
        {names.map((name) => (
          <Check
            key={name}
            label={<code>{name}</code>}
            checked={draft.tools.includes(name)}
            onCheck={(on) =>
              onChange({ tools: on ? [...draft.tools, name] : draft.tools.filter((one) => one !== name) })
            }
          />
        ))}
      </fieldset>
      <div className="pair">
        <Field label={words.agents.maxSteps} kind="number" {...text("maxSteps")} error={error("max_steps")} />
        <Field
          label={words.agents.temperature}
          kind="number"
          {...text("temperature")}
          error={error("temperature")}
        />
      </div>
      <Field label={words.agents.tags} {...text("tags")} />
      <Check
        label={words.agents.enabled}
        checked={draft.enabled}
        disabled={readOnly}
        onCheck={(enabled) => onChange({ enabled })}
      />
    </>
  );
}
