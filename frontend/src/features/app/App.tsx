import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import type { AgioApi } from "../../core/api";
import { NOTHING, type Selection } from "../../core/selection";
import { Announcer } from "../../ui/Announcer";
import { ChatPane } from "../chat/ChatPane";
import { shownRun } from "../chat/chat-state";
import type { ChatStore } from "../chat/chat-store";
import { RunRail } from "../run/RunRail";
import { Sidebar } from "../sessions/Sidebar";
import { currentSelection, onTravel, showSelection } from "./navigation";
import { TopBar } from "./TopBar";
import { useResource } from "./useResource";

/** As in layout.css: below this the side panes lie over the chat. */
const NARROW = "(max-width: 899px)";

type Panes = Readonly<Record<"side" | "rail", boolean>>;

function isNarrow(): boolean {
  return window.matchMedia(NARROW).matches;
}

export function App({ api, store }: { api: AgioApi; store: ChatStore }) {
  const state = useSyncExternalStore(store.subscribe, store.snapshot);
  const [panes, setPanes] = useState<Panes>(() => ({ side: !isNarrow(), rail: !isNarrow() }));
  const [picked, setPicked] = useState<string | null>(null);

  const info = useResource(
    useCallback(() => api.info(), [api]),
    0,
  );
  const agents = useResource(
    useCallback(() => api.agents(), [api]),
    0,
  );
  const sessions = useResource(
    useCallback(async () => (await api.sessions()).items, [api]),
    state.revision,
  );

  useEffect(() => {
    void store.open(currentSelection());
    return onTravel((selection) => void store.open(selection));
  }, [store]);

  const run = shownRun(state);
  const fallback = info.value?.default_agent ?? agents.value?.[0]?.id ?? "";
  const agentId = picked ?? run?.agentId ?? fallback;

  function go(selection: Selection): void {
    showSelection(selection, "push");
    void store.open(selection);
    setPicked(null);
    if (isNarrow()) setPanes({ side: false, rail: false });
  }

  function toggle(pane: keyof Panes): void {
    const closed = { side: false, rail: false };
    setPanes((old) => ({ ...(isNarrow() ? closed : old), [pane]: !old[pane] }));
  }

  return (
    <div className="app">
      <a className="skip button unseen" href="#message">
        Skip to the message box
      </a>
      <TopBar
        info={info.value}
        connection={state.connection}
        sideOpen={panes.side}
        railOpen={panes.rail}
        onSide={() => toggle("side")}
        onRail={() => toggle("rail")}
      />
      {panes.side && (
        <Sidebar
          agents={agents}
          agentId={agentId}
          onAgent={setPicked}
          sessions={sessions}
          sessionId={state.selection.sessionId}
          onSession={(sessionId) => go({ sessionId, runId: null })}
          onNew={() => go(NOTHING)}
        />
      )}
      <ChatPane store={store} state={state} agentId={agentId} />
      {panes.rail && (
        <RunRail
          api={api}
          store={store}
          state={state}
          agents={agents.value ?? []}
          onRun={(runId) => go({ sessionId: state.selection.sessionId, runId })}
        />
      )}
      {(panes.side || panes.rail) && (
        <button
          type="button"
          className="veil"
          aria-label="Close the side pane"
          onClick={() => setPanes({ side: false, rail: false })}
        />
      )}
      <Announcer said={state.said} />
    </div>
  );
}
