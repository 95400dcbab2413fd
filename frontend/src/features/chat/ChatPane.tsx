import { Link } from "@tanstack/react-router";
import type { Words } from "../../core/i18n/words";
import { callsInDoubt, type RunState } from "../../core/run-state";
import type { Action } from "../../core/snippets";
import { type Controls, controlsOf, isEnded } from "../../core/status";
import type { Connection } from "../../core/stream";
import { threadOf } from "../../core/thread";
import { Banner } from "../../ui/Banner";
import { Button, IconButton } from "../../ui/Button";
import { Composer } from "../../ui/Composer";
import { Scroll } from "../../ui/Scroll";
import { Notice } from "../../ui/ThreadItems";
import { useWords } from "../../ui/words";
import { CopyAs } from "../shared/CopyAs";
import { type ChatState, isCancelling, placeOf, shownRun } from "./chat-state";
import type { ChatStore } from "./chat-store";
import { CONVERSATION_ID, focusConversation } from "./focus";
import { RunControls } from "./RunControls";
import { ThreadView } from "./ThreadView";

/** Each shows something: a tool, a run that is long enough to pause, and one that asks. The demo provider knows them. */
const SAMPLES = ["What is 17 * 23?", "Please count to 60, slowly", "Send a message to Ann saying hello"];

interface ChatPaneProps {
  readonly store: ChatStore;
  readonly state: ChatState;
  readonly agentId: string;
}

export function ChatPane({ store, state, agentId }: ChatPaneProps) {
  const words = useWords();
  const run = shownRun(state);
  const controls = controlsOf(run && { ...run, cancelRequested: isCancelling(state) });
  const items = threadOf(state.history, state.run);
  const busy = state.command !== null;
  /** A command takes its own button away. */
  const command = (send: () => Promise<boolean>) => () => {
    void send();
    focusConversation();
  };
  const canSend = controls.send && !state.loading && agentId !== "";
  return (
    <section className="chat" id="chat" aria-label={words.chat.title}>
      <Connecting connection={state.connection} run={run} />
      {state.problem !== null && (
        <Banner
          tone="danger"
          action={
            <IconButton icon="close" label={words.chat.dismiss} onClick={() => store.dismissProblem()} />
          }
        >
          {state.problem}
        </Banner>
      )}
      <Scroll
        pin={state.selection.runId}
        id={CONVERSATION_ID}
        label={words.chat.conversation}
        busy={run !== null && run.status === "running"}
      >
        {items.length === 0 && !state.loading && run === null && (
          <Empty onSample={(text) => store.send(text, agentId)} ready={canSend} />
        )}
        <div className="thread">
          {state.loading && <p className="quiet">{words.chat.loading}</p>}
          <ThreadView
            items={items}
            live={run !== null && !isEnded(run.status)}
            busy={busy}
            onDecide={(id, answer) => command(() => store.decide(id, answer))()}
          />
          {run !== null && <Aftermath run={run} busy={busy} store={store} />}
        </div>
      </Scroll>
      <Composer
        draft={state.draft}
        hint={state.queued === null ? hintOf(run, controls, words.chat) : words.chat.hintQueued}
        onDraft={(draft) => store.setDraft(draft)}
        onSend={canSend ? () => store.send(state.draft, agentId) : () => store.queue(state.draft, agentId)}
      >
        {state.queued !== null && (
          <Button icon="close" onClick={() => store.unqueue()}>
            {words.chat.unqueue}
          </Button>
        )}
        {state.queued === null && !controls.send && state.draft.trim() !== "" && (
          <Button type="submit" icon="send">
            {words.chat.queue}
          </Button>
        )}
        {canSend && state.draft.trim() !== "" && (
          <CopyAs actions={[{ name: words.chat.send, action: sending(state, agentId) }]} />
        )}
        <RunControls
          controls={controls}
          busy={busy}
          send={canSend && state.draft.trim() !== ""}
          onPause={command(() => store.pause())}
          onResume={command(() => store.resume())}
          onStop={command(() => store.cancel())}
        />
      </Composer>
    </section>
  );
}

/** The call that Send makes, for who wants it in a script. */
function sending(state: ChatState, agentId: string): Action {
  const body = { agent_id: agentId, message: state.draft.trim(), ...placeOf(state) };
  return { method: "POST", path: "/api/chat", body };
}

function hintOf(run: RunState | null, controls: Controls, words: Words["chat"]): string {
  if (run === null || controls.send) return words.hintSend;
  if (run.status === "waiting") return words.hintWaiting;
  if (run.status === "paused") return words.hintPaused;
  if (run.status === "interrupted") return words.hintInterrupted;
  return run.pauseRequested ? words.hintPausing : words.hintBusy;
}

function Connecting({ connection, run }: { connection: Connection | null; run: RunState | null }) {
  const words = useWords().connection;
  if (connection?.phase !== "reconnecting" || connection.failures < 2) return null;
  return <Banner tone="warning">{words.lostStream(connection.failures, run?.lastSeq ?? 0)}</Banner>;
}

/** How the run ended, where that was not with an answer, and what needs a person. */
function Aftermath({ run, busy, store }: { run: RunState; busy: boolean; store: ChatStore }) {
  const words = useWords();
  const doubtful = callsInDoubt(run);
  if (doubtful.length > 0) {
    const names = doubtful.map(({ name }) => name).join(", ");
    return (
      <section className="card" aria-label={words.chat.decision}>
        <p>{words.chat.doubtful(names)}</p>
        <div className="actions">
          <Button
            icon="retry"
            disabled={busy}
            onClick={() => void store.rerunTools(doubtful.map(({ callId }) => callId))}
          >
            {words.chat.runAgain}
          </Button>
        </div>
      </section>
    );
  }
  if (run.status === "cancelled") {
    return <Notice item={{ tone: "info", text: words.chat.stopped(run.reason ?? "") }} />;
  }
  if (run.status !== "failed") return null;
  const { code, message } = run.error ?? { code: run.reason ?? "error", message: "The run failed." };
  return (
    <>
      <Notice item={{ tone: "danger", text: words.chat.failedIn(run.step, message, code) }} />
      <div className="actions-row">
        <Button icon="retry" disabled={busy} onClick={() => void store.retry()}>
          {words.chat.retryHere}
        </Button>
        {run.checkpoints.length > 0 && (
          <Link
            to="/fork/$checkpoint"
            params={{ checkpoint: run.checkpoints.at(-1)?.id ?? "" }}
            className="button"
          >
            {words.chat.forkEdit}
          </Link>
        )}
        <Link to="/runs/$run" params={{ run: run.runId }} className="button">
          {words.chat.openRun}
        </Link>
      </div>
    </>
  );
}

function Empty({ ready, onSample }: { ready: boolean; onSample(text: string): void }) {
  const words = useWords();
  return (
    <div className="empty">
      <h2>{words.chat.empty}</h2>
      <p className="quiet">{words.chat.emptyHint}</p>
      <div className="samples">
        {SAMPLES.map((sample) => (
          <Button key={sample} disabled={!ready} onClick={() => onSample(sample)}>
            {sample}
          </Button>
        ))}
      </div>
    </div>
  );
}
