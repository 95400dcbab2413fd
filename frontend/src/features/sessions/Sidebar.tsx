import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import type { Schemas } from "../../core/client";
import { clock } from "../../core/format";
import { Button } from "../../ui/Button";
import { Choice } from "../../ui/Field";
import { PickList } from "../../ui/PickList";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { Loaded } from "../shared/Loaded";

interface SidebarProps {
  readonly agents: UseQueryResult<Schemas["ListOf_AgentView_"]>;
  readonly agentId: string;
  onAgent(agentId: string): void;
  /** Grows when the list may have changed. */
  readonly revision: number;
  readonly sessionId: string | null;
  onSession(sessionId: string): void;
  onNew(): void;
}

export function Sidebar(props: SidebarProps) {
  const words = useWords();
  const { client } = useServices();
  const { agents, agentId, onAgent, revision, sessionId, onSession, onNew } = props;
  const sessions = useQuery(queries.sessions(client, ""));
  const { refetch } = sessions;
  useEffect(() => {
    if (revision > 0) void refetch();
  }, [revision, refetch]);
  const chosen = agents.data?.items.find(({ id }) => id === agentId);
  return (
    <nav className="side" aria-label={words.chat.conversations}>
      <Button icon="new" look={["primary"]} onClick={onNew}>
        {words.chat.newChat}
      </Button>
      <Choice
        label={words.chat.agent}
        value={agentId}
        disabled={agents.data === undefined}
        choices={(agents.data?.items ?? []).map(({ id, name }) => ({ id, word: name || id }))}
        onPick={onAgent}
      />
      <p className="hint small quiet">{chosen?.description || chosen?.model || ""}</p>
      <h2>{words.chat.conversations}</h2>
      <Loaded query={sessions} lines={6}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="quiet small">{words.app.none}</p>
          ) : (
            <PickList
              className="sessions"
              current={sessionId}
              onPick={onSession}
              picks={items.map((session) => ({ id: session.id, body: <Row session={session} /> }))}
            />
          )
        }
      </Loaded>
    </nav>
  );
}

function Row({ session }: { session: Schemas["SessionView"] }) {
  const words = useWords();
  return (
    <>
      <span className="title">{session.title || words.chat.untitled}</span>
      <span className="when">{clock(session.updated_at ?? session.created_at)}</span>
    </>
  );
}
