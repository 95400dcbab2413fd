import { useId } from "react";
import { clock } from "../../core/format";
import type { AgentView, SessionView } from "../../core/views";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { PickList } from "../../ui/PickList";
import type { Resource } from "../app/useResource";

interface SidebarProps {
  readonly agents: Resource<readonly AgentView[]>;
  readonly agentId: string;
  onAgent(agentId: string): void;
  readonly sessions: Resource<readonly SessionView[]>;
  readonly sessionId: string | null;
  onSession(sessionId: string): void;
  onNew(): void;
}

export function Sidebar(props: SidebarProps) {
  const { agents, agentId, onAgent, sessions, sessionId, onSession, onNew } = props;
  const selectId = useId();
  const chosen = agents.value?.find(({ id }) => id === agentId);
  return (
    <nav className="side" aria-label="Conversations">
      <Button icon="new" look={["primary"]} onClick={onNew}>
        New chat
      </Button>
      <div className="field">
        <label htmlFor={selectId}>Agent</label>
        <select
          id={selectId}
          className="input"
          value={agentId}
          disabled={agents.value === null}
          onChange={(event) => onAgent(event.target.value)}
        >
          {agents.value?.map(({ id, name, enabled }) => (
            <option key={id} value={id} disabled={enabled === false}>
              {name || id}
            </option>
          ))}
        </select>
        <span className="hint">{chosen?.description || chosen?.model || ""}</span>
      </div>
      {agents.problem !== null && <Banner tone="danger">{agents.problem}</Banner>}
      <h2>Conversations</h2>
      {sessions.problem !== null && <Banner tone="danger">{sessions.problem}</Banner>}
      {sessions.value?.length === 0 && <p className="quiet small">None yet.</p>}
      <PickList
        className="sessions"
        current={sessionId}
        onPick={onSession}
        picks={(sessions.value ?? []).map((session) => ({ id: session.id, body: <Row session={session} /> }))}
      />
    </nav>
  );
}

function Row({ session }: { session: SessionView }) {
  return (
    <>
      <span className="title">{session.title || "Untitled"}</span>
      <span className="when">{clock(session.updated_at ?? session.created_at)}</span>
    </>
  );
}
