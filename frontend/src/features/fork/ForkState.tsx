import { useState } from "react";
import type { Schemas } from "../../core/client";
import { type ForkDraft, openCalls } from "../../core/fork-draft";
import { glimpse, pretty } from "../../core/format";
import { textOf } from "../../core/views";
import { Button } from "../../ui/Button";
import { TextDiff } from "../../ui/Diff";
import { Field } from "../../ui/Field";
import { Payload } from "../../ui/Payload";
import { useWords } from "../../ui/words";

interface ForkStateProps {
  readonly checkpoint: Schemas["CheckpointView"];
  readonly draft: ForkDraft;
  onChange(changes: Partial<ForkDraft>): void;
}

/** The conversation at the checkpoint; each message can be edited for the fork. */
export function ForkState({ checkpoint, draft, onChange }: ForkStateProps) {
  const words = useWords();
  const [editing, setEditing] = useState<number | null>(null);
  const calls = openCalls(checkpoint.messages);
  return (
    <section className="panel" aria-label={words.fork.state}>
      <h2>{words.fork.state}</h2>
      <ol className="messages">
        {checkpoint.messages.map((message, index) => {
          const text = textOf(message.content);
          const edited = draft.edits[index];
          return (
            <li key={message.id} data-role={message.role}>
              <p className="quiet small">
                {words.fork.messageNo(index + 1)} · {message.role}
                {message.name ? ` · ${message.name}` : ""}
              </p>
              {editing === index ? (
                <Field
                  label={words.fork.editMessage}
                  rows={4}
                  value={edited ?? text}
                  onText={(typed) =>
                    onChange({ edits: editsWith(draft.edits, index, typed === text ? null : typed) })
                  }
                />
              ) : edited === undefined ? (
                <p className="clip-lines">
                  {text || glimpse(message.tool_calls?.map(({ name }) => name).join(", "))}
                </p>
              ) : (
                <TextDiff before={text} after={edited} />
              )}
              <Button
                icon={editing === index ? "approve" : "edit"}
                look={["ghost", "compact"]}
                aria-label={`${editing === index ? words.app.close : words.fork.editMessage} ${index + 1}`}
                onClick={() => setEditing(editing === index ? null : index)}
              />
            </li>
          );
        })}
      </ol>
      {calls.map((call) => (
        <div key={call.id}>
          <Payload text={`${call.name} ${pretty(call.arguments)}`} name={call.name} />
          <Field
            label={words.fork.recorded}
            hint={words.fork.recordedHint}
            value={draft.results[call.id] ?? ""}
            rows={2}
            onText={(text) => onChange({ results: { ...draft.results, [call.id]: text } })}
          />
        </div>
      ))}
    </section>
  );
}

function editsWith(edits: ForkDraft["edits"], index: number, text: string | null): ForkDraft["edits"] {
  const { [index]: _, ...rest } = edits;
  return text === null ? rest : { ...rest, [index]: text };
}
