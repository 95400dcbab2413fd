import { useQuery } from "@tanstack/react-query";
import { textOf } from "../../core/views";
import { Markdown } from "../../ui/Markdown";
import { Payload } from "../../ui/Payload";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { Loaded } from "../shared/Loaded";

/** The conversation up to the run's last checkpoint. */
export function RunMessages({ runId, selectedStep }: { runId: string; selectedStep: number | null }) {
  const words = useWords();
  const { client } = useServices();
  const messages = useQuery(queries.messages(client, runId));
  return (
    <Loaded query={messages} lines={6}>
      {({ items, total }) => (
        <ol className="messages">
          {items.map((message) => (
            <li
              key={message.id}
              data-role={message.role}
              data-selected={message.step === selectedStep || undefined}
            >
              <p className="quiet small">
                {message.role}
                {message.name ? ` · ${message.name}` : ""}
                {message.step ? ` · ${words.checkpoints.step(message.step)}` : ""}
              </p>
              {message.role === "tool" ? (
                <Payload text={textOf(message.content)} name={message.name ?? words.chat.result} />
              ) : (
                <Markdown text={textOf(message.content)} complete />
              )}
              {message.tool_calls?.map((call) => (
                <Payload key={call.id} text={`${call.name}(${call.arguments})`} name={call.name} />
              ))}
            </li>
          ))}
          {total > items.length && <li className="quiet small">{words.app.showing(items.length, total)}</li>}
        </ol>
      )}
    </Loaded>
  );
}
