import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useEffect, useState, useSyncExternalStore } from "react";
import { Button, IconButton } from "../../ui/Button";
import { useWords } from "../../ui/words";
import { useKeys } from "../app/key-board";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { RunRail } from "../run/RunRail";
import { Sidebar } from "../sessions/Sidebar";
import { ChatPane } from "./ChatPane";
import { shownRun } from "./chat-state";
import { placeOf, selectionAt } from "./place";

/** As in layout.css: below this the side panes lie over the chat. */
const NARROW = "(max-width: 1099px)";

type Panes = Readonly<Record<"side" | "rail", boolean>>;

function isNarrow(): boolean {
  return window.matchMedia(NARROW).matches;
}

export function ChatPage() {
  const words = useWords();
  const { chat: store, client, api } = useServices();
  const navigate = useNavigate();
  const { session } = useParams({ strict: false });
  const search = useSearch({ strict: false });
  const { run: runParam, agent: agentParam } = search as { run?: string; agent?: string };
  const state = useSyncExternalStore(store.subscribe, store.snapshot);
  const [panes, setPanes] = useState<Panes>(() => ({ side: !isNarrow(), rail: !isNarrow() }));
  const [picked, setPicked] = useState<string | null>(agentParam ?? null);
  const info = useQuery(queries.info(client));
  const agents = useQuery(queries.agents(client));

  useEffect(() => {
    const wanted = selectionAt(session, runParam);
    // The store may know more of the place than the address did when it changed.
    const shown = store.snapshot().selection;
    if (wanted.runId !== null && wanted.runId === shown.runId) return;
    void store.open(wanted);
  }, [store, session, runParam]);

  const run = shownRun(state);
  const fallback = info.data?.default_agent ?? agents.data?.items[0]?.id ?? "";
  const agentId = picked ?? run?.agentId ?? fallback;

  function go(sessionId: string | null, runId: string | null): void {
    setPicked(null);
    void navigate(placeOf({ sessionId, runId }));
    if (isNarrow()) setPanes({ side: false, rail: false });
  }
  function toggle(pane: keyof Panes): void {
    const closed = { side: false, rail: false };
    setPanes((old) => ({ ...(isNarrow() ? closed : old), [pane]: !old[pane] }));
  }
  useKeys({
    "run.pause": () => void (run?.status === "paused" ? store.resume() : store.pause()),
    "run.fork": () => {
      const last = run?.checkpoints.at(-1)?.id;
      if (last !== undefined) void navigate({ to: "/fork/$checkpoint", params: { checkpoint: last } });
    },
  });
  return (
    <div className="chat-page">
      <div className="chat-bar">
        <IconButton
          icon="menu"
          label={words.chat.conversations}
          aria-expanded={panes.side}
          onClick={() => toggle("side")}
        />
        <span className="gap" />
        <Button icon="panel" look={["ghost"]} aria-expanded={panes.rail} onClick={() => toggle("rail")}>
          {words.chat.run}
        </Button>
      </div>
      {panes.side && (
        <Sidebar
          agents={agents}
          agentId={agentId}
          onAgent={setPicked}
          revision={state.revision}
          sessionId={state.selection.sessionId}
          onSession={(sessionId) => go(sessionId, null)}
          onNew={() => go(null, null)}
        />
      )}
      <ChatPane store={store} state={state} agentId={agentId} />
      {panes.rail && (
        <RunRail
          api={api}
          store={store}
          state={state}
          onRun={(runId) => go(state.selection.sessionId, runId)}
        />
      )}
      {(panes.side || panes.rail) && (
        <button
          type="button"
          className="veil"
          aria-label={words.chat.closePane}
          onClick={() => setPanes({ side: false, rail: false })}
        />
      )}
    </div>
  );
}
