import { useQuery } from "@tanstack/react-query";
import type { Schemas } from "../../core/client";
import { glimpse } from "../../core/format";
import { textOf } from "../../core/views";
import { JsonDiff, TextDiff } from "../../ui/Diff";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { Loaded } from "../shared/Loaded";

/** What changed between two checkpoints: messages as prose, the rest by place. */
export function DiffPane({ checkpointId, against }: { checkpointId: string; against: string }) {
  const words = useWords();
  const { client } = useServices();
  const query = useQuery(queries.diff(client, checkpointId, against));
  const { inspector } = words;
  return (
    <Loaded query={query} lines={5}>
      {(diff) => (
        <div className="diff">
          <p className="quiet small">{inspector.common(diff.common)}</p>
          {diff.changed.map(({ position, before, after }) => (
            <section key={position}>
              <h3>
                {inspector.changed} · {after.role}
              </h3>
              <TextDiff before={textOf(before.content)} after={textOf(after.content)} />
              <JsonDiff before={before.tool_calls} after={after.tool_calls} />
            </section>
          ))}
          <Messages title={inspector.added} messages={diff.added} added />
          <Messages title={inspector.removed} messages={diff.removed} added={false} />
          <Fields title={inspector.configuration} fields={diff.configuration} />
          <Fields title={inspector.state} fields={diff.state} />
          <Fields title={inspector.metrics} fields={diff.metrics} />
        </div>
      )}
    </Loaded>
  );
}

interface MessagesProps {
  readonly title: string;
  readonly messages: readonly Schemas["MessageView"][];
  readonly added: boolean;
}

function Messages({ title, messages, added }: MessagesProps) {
  if (messages.length === 0) return null;
  return (
    <section>
      <h3>{title}</h3>
      {messages.map((message) => {
        const calls =
          message.tool_calls?.map(({ name, arguments: args }) => `${name} ${args}`).join("\n") ?? "";
        const text = [textOf(message.content), calls].filter(Boolean).join("\n");
        return (
          <div key={message.id} className="diff-message">
            <span className="quiet small">
              {message.role}
              {message.name ? ` · ${message.name}` : ""}
            </span>
            <TextDiff before={added ? "" : text} after={added ? text : ""} />
          </div>
        );
      })}
    </section>
  );
}

function Fields({ title, fields }: { title: string; fields: readonly Schemas["FieldChangeView"][] }) {
  if (fields.length === 0) return null;
  return (
    <section>
      <h3>{title}</h3>
      {fields.map(({ field, before, after }) =>
        typeof before === "string" && typeof after === "string" ? (
          <div key={field}>
            <span className="mono small">{field}</span>
            <TextDiff before={before} after={after} />
          </div>
        ) : (
          <div key={field} className="field-change">
            <span className="mono small">{field}</span>
            <span>
              <del>{glimpse(before) || "–"}</del> <ins>{glimpse(after) || "–"}</ins>
            </span>
          </div>
        ),
      )}
    </section>
  );
}
