import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { messageOf } from "../../core/problem";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Confirm";
import { Choice, Field } from "../../ui/Field";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { CopyAs } from "../shared/CopyAs";
import { Loaded } from "../shared/Loaded";

const ROLES = ["viewer", "operator", "admin"] as const;

/** Who may log in with a password. */
export function People() {
  const words = useWords();
  const { client } = useServices();
  const queryClient = useQueryClient();
  const users = useQuery(queries.users(client));
  const [removing, setRemoving] = useState<string | null>(null);
  const done = () => void queryClient.invalidateQueries({ queryKey: ["users"] });
  const remove = useMutation({
    mutationFn: (name: string) => client.delete("/api/users/{name}", { path: { name } }),
    onSuccess: () => {
      done();
      setRemoving(null);
    },
  });
  return (
    <section className="panel" aria-label={words.settings.users}>
      <h2>{words.settings.users}</h2>
      <Loaded query={users} lines={2}>
        {({ items }) => (
          <ul className="lines">
            {items.map(({ name, roles, enabled }) => (
              <li key={name} className="history-line">
                <span>{name}</span>
                <span className="quiet small">
                  {roles.join(", ")}
                  {!enabled && ` · ${words.agents.disabled}`}
                </span>
                <span className="gap" />
                <Button look={["compact", "danger"]} onClick={() => setRemoving(name)}>
                  {words.app.delete}
                </Button>
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      <NewPerson onDone={done} />
      {removing !== null && (
        <Confirm
          title={words.settings.removeUser(removing)}
          hint={words.settings.revokeHint}
          action={words.app.delete}
          busy={remove.isPending}
          problem={remove.error && messageOf(remove.error)}
          onConfirm={() => remove.mutate(removing)}
          onClose={() => setRemoving(null)}
        >
          <CopyAs
            actions={[
              {
                name: words.app.delete,
                action: { method: "DELETE", path: `/api/users/${encodeURIComponent(removing)}` },
              },
            ]}
          />
        </Confirm>
      )}
    </section>
  );
}

function NewPerson({ onDone }: { onDone(): void }) {
  const words = useWords();
  const { client } = useServices();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState<(typeof ROLES)[number]>("operator");
  const body = { name: name.trim(), password, roles: [role] };
  const add = useMutation({
    mutationFn: () => client.post("/api/users", { body }),
    onSuccess: () => {
      setName("");
      setPassword("");
      onDone();
    },
  });
  function submit(event: FormEvent): void {
    event.preventDefault();
    add.mutate();
  }
  return (
    <form className="form narrow" onSubmit={submit}>
      <h3>{words.settings.newUser}</h3>
      <Field label={words.login.user} value={name} autoComplete="off" onText={setName} />
      <Field
        label={words.settings.password}
        kind="password"
        autoComplete="new-password"
        value={password}
        onText={setPassword}
      />
      <Choice
        label={words.settings.roles}
        value={role}
        choices={ROLES.map((id) => ({ id, word: id }))}
        onPick={(id) => setRole(id)}
      />
      {add.error !== null && <Banner tone="danger">{messageOf(add.error)}</Banner>}
      <div className="actions-row">
        <Button
          type="submit"
          look={["primary"]}
          disabled={add.isPending || name.trim() === "" || password === ""}
        >
          {words.app.create}
        </Button>
        <CopyAs
          actions={[{ name: words.app.create, action: { method: "POST", path: "/api/users", body } }]}
        />
      </div>
    </form>
  );
}
