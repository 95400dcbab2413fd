import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { Schemas } from "../../core/client";
import { clock } from "../../core/format";
import type { RecordField } from "../../core/record-form";
import { Button } from "../../ui/Button";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { Remove } from "../shared/Catalog";
import { Loaded } from "../shared/Loaded";
import { RecordDialog } from "../shared/RecordForm";

type Key = Schemas["LlmKeyView"];

/** Keys of model providers that runs use; none is ever shown again. */
export function ProviderKeys() {
  const words = useWords();
  const { client } = useServices();
  const queryClient = useQueryClient();
  const keys = useQuery(queries.providerKeys(client));
  const [making, setMaking] = useState(false);
  const { providerKeys } = words;
  const done = () => void queryClient.invalidateQueries({ queryKey: ["provider-keys"] });
  return (
    <section className="panel" aria-label={providerKeys.title}>
      <h2>{providerKeys.title}</h2>
      <p className="quiet small">{providerKeys.hint}</p>
      <Loaded query={keys} lines={2}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="quiet small">
              {providerKeys.none} {providerKeys.noneHint}
            </p>
          ) : (
            <ul className="lines">
              {items.map((key) => (
                <Line key={key.id} line={key} onGone={done} />
              ))}
            </ul>
          )
        }
      </Loaded>
      <div className="actions-row">
        <Button icon="new" onClick={() => setMaking(true)}>
          {providerKeys.new}
        </Button>
      </div>
      {making && (
        <NewKey
          onClose={() => setMaking(false)}
          onSaved={() => {
            setMaking(false);
            done();
          }}
        />
      )}
    </section>
  );
}

function Line({ line: key, onGone }: { line: Key; onGone(): void }) {
  const words = useWords();
  const { client } = useServices();
  const { providerKeys } = words;
  const state = [
    key.kept === "memory" ? providerKeys.memory : "",
    key.usable ? "" : providerKeys.unusable,
  ].filter(Boolean);
  return (
    <li className="history-line">
      <code>{key.provider}</code>
      <span>{key.name}</span>
      <span className="mono quiet small">{key.masked}</span>
      <span className="quiet small">{key.user_id ?? providerKeys.group}</span>
      <span className="quiet small clip">{state.join(" · ")}</span>
      <span className="quiet small">{clock(key.updated_at)}</span>
      <Remove
        path={`/api/keys/${encodeURIComponent(key.id)}`}
        title={providerKeys.remove(key.provider)}
        hint={providerKeys.removeHint}
        remove={() => client.delete("/api/keys/{key_id}", { path: { key_id: key.id } })}
        onRemoved={onGone}
      />
    </li>
  );
}

function NewKey({ onClose, onSaved }: { onClose(): void; onSaved(): void }) {
  const words = useWords();
  const { client } = useServices();
  const { providerKeys } = words;
  const fields: readonly RecordField[] = [
    { name: "provider", label: providerKeys.provider, kind: "text", required: true, initial: "openai" },
    { name: "name", label: words.app.name, kind: "text", initial: "default" },
    { name: "api_key", label: providerKeys.key, kind: "secret", required: true },
  ];
  return (
    <RecordDialog
      title={providerKeys.new}
      fields={fields}
      record={null}
      save={(body) => client.post("/api/keys", { body: body as unknown as Schemas["LlmKeyBody"] })}
      call={(body) => ({ method: "POST", path: "/api/keys", body })}
      onSaved={onSaved}
      onClose={onClose}
    />
  );
}
