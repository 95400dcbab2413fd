import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import type { Schemas } from "../../core/client";
import { clock } from "../../core/format";
import { messageOf } from "../../core/problem";
import { Button, IconButton } from "../../ui/Button";
import { Confirm } from "../../ui/Confirm";
import { Dialog } from "../../ui/Dialog";
import { Field } from "../../ui/Field";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { CopyAs } from "../shared/CopyAs";
import { Loaded } from "../shared/Loaded";

type Session = Schemas["SessionView"];

const pathOf = ({ id }: Session) => `/api/sessions/${encodeURIComponent(id)}`;

export function SessionsPage() {
  const words = useWords();
  const { client } = useServices();
  const navigate = useNavigate({ from: "/sessions" });
  const { q = "" } = useSearch({ from: "/sessions" });
  const sessions = useQuery(queries.sessions(client, q));
  const [renaming, setRenaming] = useState<Session | null>(null);
  const [removing, setRemoving] = useState<Session | null>(null);
  return (
    <div className="page">
      <div className="filters">
        <Field
          label={words.sessions.search}
          kind="search"
          value={q}
          onText={(text) => void navigate({ search: { q: text || undefined }, replace: true })}
        />
      </div>
      <Loaded query={sessions} lines={8}>
        {({ items, total }) =>
          items.length === 0 ? (
            <p className="none">{words.sessions.none}</p>
          ) : (
            <>
              <ul className="lines cards">
                {items.map((session) => (
                  <li key={session.id}>
                    <Link to="/chat/$session" params={{ session: session.id }} className="card-link">
                      {session.title || words.chat.untitled}
                    </Link>
                    <span className="quiet small">{session.agent_id}</span>
                    <span className="gap" />
                    <span className="quiet small">{clock(session.updated_at)}</span>
                    <IconButton
                      icon="edit"
                      label={words.sessions.rename}
                      onClick={() => setRenaming(session)}
                    />
                    <IconButton icon="close" label={words.app.delete} onClick={() => setRemoving(session)} />
                  </li>
                ))}
              </ul>
              <p className="quiet small">{words.app.showing(items.length, total)}</p>
            </>
          )
        }
      </Loaded>
      {renaming !== null && <Rename session={renaming} onClose={() => setRenaming(null)} />}
      {removing !== null && <Remove session={removing} onClose={() => setRemoving(null)} />}
    </div>
  );
}

function Rename({ session, onClose }: { session: Session; onClose(): void }) {
  const words = useWords();
  const { client } = useServices();
  const queryClient = useQueryClient();
  const [title, setTitle] = useState(session.title ?? "");
  const save = useMutation({
    mutationFn: () =>
      client.patch("/api/sessions/{session_id}", { path: { session_id: session.id }, body: { title } }),
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: ["sessions"] });
      onClose();
    },
  });
  function submit(event: FormEvent): void {
    event.preventDefault();
    save.mutate();
  }
  return (
    <Dialog title={words.sessions.rename} onClose={onClose}>
      <form onSubmit={submit}>
        <Field
          label={words.sessions.newTitle}
          value={title}
          error={save.error && messageOf(save.error)}
          onText={setTitle}
        />
        <div className="actions">
          <CopyAs
            actions={[
              {
                name: words.sessions.rename,
                action: { method: "PATCH", path: pathOf(session), body: { title } },
              },
            ]}
          />
          <span className="gap" />
          <Button onClick={onClose}>{words.app.cancel}</Button>
          <Button type="submit" look={["primary"]} disabled={save.isPending}>
            {words.app.save}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function Remove({ session, onClose }: { session: Session; onClose(): void }) {
  const words = useWords();
  const { client } = useServices();
  const queryClient = useQueryClient();
  const remove = useMutation({
    mutationFn: () =>
      client.delete("/api/sessions/{session_id}", {
        path: { session_id: session.id },
        query: { cancel: true },
      }),
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: ["sessions"] });
      onClose();
    },
  });
  return (
    <Confirm
      title={words.sessions.remove(session.title || words.chat.untitled)}
      hint={words.sessions.removeHint}
      action={words.app.delete}
      busy={remove.isPending}
      problem={remove.error && messageOf(remove.error)}
      onConfirm={() => remove.mutate()}
      onClose={onClose}
    >
      <CopyAs
        actions={[
          { name: words.app.delete, action: { method: "DELETE", path: `${pathOf(session)}?cancel=true` } },
        ]}
      />
    </Confirm>
  );
}
