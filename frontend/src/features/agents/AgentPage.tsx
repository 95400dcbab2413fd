import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { type AgentDraft, changesOf, draftOf, isReadable, NEW_AGENT, newBody } from "../../core/agent-draft";
import type { Schemas } from "../../core/client";
import { clock } from "../../core/format";
import type { Words } from "../../core/i18n/words";
import { ApiError, messageOf } from "../../core/problem";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Confirm";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { CopyAs, type NamedAction } from "../shared/CopyAs";
import { Loaded } from "../shared/Loaded";
import { AgentForm } from "./AgentForm";
import { Playground } from "./Playground";

type Agent = Schemas["AgentView"];

export function AgentPage() {
  const { agent: id } = useParams({ from: "/agents/$agent" });
  const { like } = useSearch({ from: "/agents/$agent" });
  const { client } = useServices();
  const wanted = id === "new" ? like : id;
  const agent = useQuery({
    queryKey: ["agents", "one", wanted],
    enabled: wanted !== undefined,
    queryFn: ({ signal }) =>
      client.get("/api/agents/{agent_id}", { path: { agent_id: wanted ?? "" }, signal }),
  });
  if (id === "new" && like === undefined) {
    return (
      <div className="page">
        <Editor agent={null} like={null} />
      </div>
    );
  }
  return (
    <div className="page">
      <Loaded query={agent} lines={6}>
        {(value) =>
          id === "new" ? (
            <Editor agent={null} like={value} />
          ) : (
            <div className="agent-page" key={value.id}>
              <Editor agent={value} like={null} />
              <div className="agent-side">
                <Playground agent={value} />
                <Versions agentId={value.id} />
              </div>
            </div>
          )
        }
      </Loaded>
    </div>
  );
}

function actionsOf(agent: Agent | null, draft: AgentDraft, words: Words): readonly NamedAction[] {
  if (agent === null) {
    const action = { method: "POST", path: "/api/agents", body: newBody(draft) } as const;
    return [{ name: words.app.create, action }];
  }
  const path = `/api/agents/${encodeURIComponent(agent.id)}`;
  return [
    { name: words.app.save, action: { method: "PATCH", path, body: changesOf(draft, agent) } },
    { name: words.app.delete, action: { method: "DELETE", path } },
  ];
}

function Editor({ agent, like }: { agent: Agent | null; like: Agent | null }) {
  const words = useWords();
  const { client } = useServices();
  const navigate = useNavigate();
  const queryClient = useQueryClient();
  const start =
    agent !== null ? draftOf(agent) : like !== null ? { ...draftOf(like), id: "", name: "" } : NEW_AGENT;
  const [draft, setDraft] = useState(start);
  const [removing, setRemoving] = useState(false);
  const save = useMutation({
    mutationFn: (): Promise<Agent> =>
      agent === null
        ? client.post("/api/agents", { body: newBody(draft) })
        : client.patch("/api/agents/{agent_id}", {
            path: { agent_id: agent.id },
            body: changesOf(draft, agent),
          }),
    onSuccess: (saved) => {
      void queryClient.invalidateQueries({ queryKey: ["agents"] });
      if (agent === null) void navigate({ to: "/agents/$agent", params: { agent: saved.id } });
    },
  });
  const remove = useMutation({
    mutationFn: () => client.delete("/api/agents/{agent_id}", { path: { agent_id: agent?.id ?? "" } }),
    onSuccess: () => {
      void queryClient.invalidateQueries({ queryKey: ["agents"] });
      void navigate({ to: "/agents" });
    },
  });
  const readOnly = agent?.source === "code";
  const fields = save.error instanceof ApiError ? save.error.fields : [];
  return (
    <section className="panel form" aria-label={words.agents.definition}>
      <h2>{agent?.name ?? words.agents.new}</h2>
      {readOnly && <Banner tone="info">{words.agents.code}</Banner>}
      {save.error !== null && <Banner tone="danger">{messageOf(save.error)}</Banner>}
      <AgentForm
        draft={draft}
        fresh={agent === null}
        readOnly={readOnly}
        fields={fields}
        onChange={(changes) => setDraft((old) => ({ ...old, ...changes }))}
      />
      <div className="actions-row">
        {!readOnly && (
          <Button
            look={["primary"]}
            disabled={save.isPending || !isReadable(draft)}
            onClick={() => save.mutate()}
          >
            {agent === null ? words.app.create : words.app.save}
          </Button>
        )}
        {agent !== null && (
          <>
            <Link
              to="/agents/$agent"
              params={{ agent: "new" }}
              search={{ like: agent.id }}
              className="button"
            >
              {words.agents.clone}
            </Link>
            <Link to="/chat" search={{ agent: agent.id }} className="button">
              {words.agents.chatWith}
            </Link>
          </>
        )}
        {agent !== null && !readOnly && (
          <Button look={["danger"]} onClick={() => setRemoving(true)}>
            {words.app.delete}
          </Button>
        )}
        {!readOnly && <CopyAs actions={actionsOf(agent, draft, words)} />}
        <span role="status" className="quiet small">
          {save.isSuccess && words.app.saved}
        </span>
      </div>
      {removing && agent !== null && (
        <Confirm
          title={words.agents.remove(agent.name)}
          hint={words.agents.removeHint}
          action={words.app.delete}
          busy={remove.isPending}
          problem={remove.error && messageOf(remove.error)}
          onConfirm={() => remove.mutate()}
          onClose={() => setRemoving(false)}
        />
      )}
    </section>
  );
}

function Versions({ agentId }: { agentId: string }) {
  const words = useWords();
  const { client } = useServices();
  const versions = useQuery(queries.versions(client, agentId));
  return (
    <section className="panel" aria-label={words.agents.versions}>
      <h2>{words.agents.versions}</h2>
      <Loaded query={versions} lines={2}>
        {({ items }) => (
          <ul className="lines">
            {items.map(({ version, created_at, agent }) => (
              <li key={version} className="history-line">
                <span>{words.agents.version(version)}</span>
                <span className="quiet small clip">{agent.model}</span>
                <span className="quiet small">{clock(created_at)}</span>
              </li>
            ))}
          </ul>
        )}
      </Loaded>
    </section>
  );
}
