import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import type { Schemas } from "../../core/client";
import { clock } from "../../core/format";
import { messageOf } from "../../core/problem";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Confirm";
import { Check, Field } from "../../ui/Field";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { CopyAs } from "../shared/CopyAs";
import { Loaded } from "../shared/Loaded";

const SCOPES = ["read", "run", "build", "admin"] as const;

export function AccessKeys() {
  const words = useWords();
  const { client } = useServices();
  const queryClient = useQueryClient();
  const keys = useQuery(queries.accessKeys(client));
  const [revoking, setRevoking] = useState<Schemas["AccessKeyView"] | null>(null);
  const revoke = useMutation({
    mutationFn: (key_id: string) => client.delete("/api/access-keys/{key_id}", { path: { key_id } }),
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: ["access-keys"] });
      setRevoking(null);
    },
  });
  return (
    <section className="panel" aria-label={words.settings.keys}>
      <h2>{words.settings.keys}</h2>
      <p className="quiet small">{words.settings.keyHint}</p>
      <Loaded query={keys} lines={2}>
        {({ items }) => (
          <ul className="lines">
            {items.map((key) => (
              <li key={key.id} className="history-line">
                <span>{key.name}</span>
                <span className="mono quiet small">{key.hint}</span>
                <span className="quiet small clip">{key.scopes.join(", ") || words.settings.allScopes}</span>
                <span className="quiet small">
                  {words.settings.lastUsed}:{" "}
                  {key.last_used_at ? clock(key.last_used_at) : words.settings.never}
                </span>
                {key.revoked_at === null ? (
                  <Button look={["compact", "danger"]} onClick={() => setRevoking(key)}>
                    {words.settings.revoke}
                  </Button>
                ) : (
                  <span className="quiet small">{words.settings.revoked}</span>
                )}
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      <NewKey />
      {revoking !== null && (
        <Confirm
          title={words.settings.revokeAsk(revoking.name)}
          hint={words.settings.revokeHint}
          action={words.settings.revoke}
          busy={revoke.isPending}
          problem={revoke.error && messageOf(revoke.error)}
          onConfirm={() => revoke.mutate(revoking.id)}
          onClose={() => setRevoking(null)}
        >
          <CopyAs
            actions={[
              {
                name: words.settings.revoke,
                action: { method: "DELETE", path: `/api/access-keys/${encodeURIComponent(revoking.id)}` },
              },
            ]}
          />
        </Confirm>
      )}
    </section>
  );
}

function NewKey() {
  const words = useWords();
  const { client } = useServices();
  const queryClient = useQueryClient();
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<readonly (typeof SCOPES)[number][]>([]);
  const body = { name: name.trim(), ...(scopes.length > 0 ? { scopes: [...scopes] } : {}) };
  const issue = useMutation({
    mutationFn: () => client.post("/api/access-keys", { body }),
    onSuccess: () => {
      setName("");
      void queryClient.invalidateQueries({ queryKey: ["access-keys"] });
    },
  });
  function submit(event: FormEvent): void {
    event.preventDefault();
    issue.mutate();
  }
  return (
    <form className="form narrow" onSubmit={submit}>
      <h3>{words.settings.newKey}</h3>
      <Field label={words.settings.keyName} value={name} onText={setName} />
      <fieldset className="checks">
        <legend>
          {words.settings.scopes}
          {scopes.length === 0 && `: ${words.settings.allScopes}`}
        </legend>
        {SCOPES.map((scope) => (
          <Check
            key={scope}
            label={<code>{scope}</code>}
            checked={scopes.includes(scope)}
            onCheck={(on) => setScopes((old) => (on ? [...old, scope] : old.filter((one) => one !== scope)))}
          />
        ))}
      </fieldset>
      {issue.error !== null && <Banner tone="danger">{messageOf(issue.error)}</Banner>}
      <div className="actions-row">
        <Button type="submit" look={["primary"]} disabled={issue.isPending || name.trim() === ""}>
          {words.app.create}
        </Button>
        <CopyAs
          actions={[{ name: words.app.create, action: { method: "POST", path: "/api/access-keys", body } }]}
        />
      </div>
      {issue.data?.key && (
        <div role="status">
          <p className="small">{words.settings.once}</p>
          <p className="code mono">{issue.data.key}</p>
        </div>
      )}
    </form>
  );
}
