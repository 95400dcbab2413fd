import type { Schemas } from "../../core/client";
import { type ForkDraft, wrongFields } from "../../core/fork-draft";
import { Check, Field } from "../../ui/Field";
import { useWords } from "../../ui/words";

interface ForkChangesProps {
  readonly checkpoint: Schemas["CheckpointView"];
  readonly draft: ForkDraft;
  onChange(changes: Partial<ForkDraft>): void;
}

/** What the new run does otherwise; what is left empty stays. */
export function ForkChanges({ checkpoint, draft, onChange }: ForkChangesProps) {
  const words = useWords();
  const { agent } = checkpoint;
  const wrong = wrongFields(draft);
  const kept = draft.tools ?? agent.tools;
  const error = (name: "temperature" | "maxSteps") => (wrong.includes(name) ? words.tools.wrong : null);
  return (
    <section className="panel form" aria-label={words.fork.changes}>
      <h2>{words.fork.changes}</h2>
      <Field
        label={words.fork.query}
        rows={2}
        hint={words.fork.queryNote}
        placeholder={words.fork.unchanged}
        value={draft.query}
        onText={(query) => onChange({ query })}
      />
      <Field
        label={words.fork.systemPrompt}
        rows={4}
        value={draft.systemPrompt ?? agent.system_prompt ?? ""}
        onText={(text) => onChange({ systemPrompt: text === (agent.system_prompt ?? "") ? null : text })}
      />
      <Field
        label={words.fork.model}
        placeholder={agent.model}
        value={draft.model}
        onText={(model) => onChange({ model })}
      />
      <div className="pair">
        <Field
          label={words.fork.temperature}
          kind="number"
          placeholder={agent.temperature === null ? words.fork.unchanged : String(agent.temperature)}
          value={draft.temperature}
          error={error("temperature")}
          onText={(temperature) => onChange({ temperature })}
        />
        <Field
          label={words.fork.maxSteps}
          kind="number"
          placeholder={String(agent.max_steps)}
          value={draft.maxSteps}
          error={error("maxSteps")}
          onText={(maxSteps) => onChange({ maxSteps })}
        />
      </div>
      {agent.tools.length > 0 && (
        <fieldset className="checks">
          <legend>{words.fork.tools}</legend>
          {agent.tools.map((name) => (
            <Check
              key={name}
              label={<code>{name}</code>}
              checked={kept.includes(name)}
              onCheck={(on) => {
                const tools = agent.tools.filter((one) => (one === name ? on : kept.includes(one)));
                onChange({ tools: tools.length === agent.tools.length ? null : tools });
              }}
            />
          ))}
        </fieldset>
      )}
    </section>
  );
}
