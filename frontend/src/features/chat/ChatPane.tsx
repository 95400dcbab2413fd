import { callsInDoubt, type RunState } from "../../core/run-state";
import { type Controls, controlsOf, isEnded } from "../../core/status";
import type { Connection } from "../../core/stream";
import { threadOf } from "../../core/thread";
import { Banner } from "../../ui/Banner";
import { Button, IconButton } from "../../ui/Button";
import { Composer } from "../../ui/Composer";
import { Scroll } from "../../ui/Scroll";
import { Notice } from "../../ui/ThreadItems";
import { type ChatState, isCancelling, shownRun } from "./chat-state";
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
    <main className="chat" id="chat">
      <Connecting connection={state.connection} run={run} />
      {state.problem !== null && (
        <Banner
          tone="danger"
          action={<IconButton icon="close" label="Dismiss" onClick={() => store.dismissProblem()} />}
        >
          {state.problem}
        </Banner>
      )}
      <Scroll
        pin={state.selection.runId}
        id={CONVERSATION_ID}
        label="Conversation"
        busy={run !== null && run.status === "running"}
      >
        {items.length === 0 && !state.loading && run === null && (
          <Empty onSample={(text) => store.send(text, agentId)} ready={canSend} />
        )}
        <div className="thread">
          {state.loading && <p className="quiet">Loading the conversation…</p>}
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
        hint={hintOf(run, controls)}
        onDraft={(draft) => store.setDraft(draft)}
        onSend={canSend ? () => store.send(state.draft, agentId) : null}
      >
        <RunControls
          controls={controls}
          busy={busy}
          send={canSend && state.draft.trim() !== ""}
          onPause={command(() => store.pause())}
          onResume={command(() => store.resume())}
          onStop={command(() => store.cancel())}
        />
      </Composer>
    </main>
  );
}

function hintOf(run: RunState | null, controls: Controls): string {
  if (run === null || controls.send) return "Enter sends, Shift+Enter makes a new line.";
  if (run.status === "waiting") return "The run waits for an answer above.";
  if (run.status === "paused") return "Paused. Nothing runs until you resume.";
  if (run.status === "interrupted") return "Interrupted. Resume goes on from the last checkpoint.";
  if (!controls.cancel) return "Stopping…";
  return run.pauseRequested
    ? "Pausing at the next safe point…"
    : "You can send again when this run has ended.";
}

function Connecting({ connection, run }: { connection: Connection | null; run: RunState | null }) {
  if (connection?.phase !== "reconnecting" || connection.failures < 2) return null;
  return (
    <Banner tone="warning">
      Connection lost, trying again ({connection.failures}). You see the run up to event {run?.lastSeq ?? 0}.
      It does not depend on this page.
    </Banner>
  );
}

/** How the run ended, where that was not with an answer, and what needs a person. */
function Aftermath({ run, busy, store }: { run: RunState; busy: boolean; store: ChatStore }) {
  const doubtful = callsInDoubt(run);
  if (doubtful.length > 0) {
    const names = doubtful.map(({ name }) => name).join(", ");
    return (
      <section className="card" aria-label="Decision needed">
        <p>
          The worker died during <code>{names}</code>, and nobody knows whether it took effect. Run it again
          only if doing it twice does no harm.
        </p>
        <div className="actions">
          <Button
            icon="retry"
            disabled={busy}
            onClick={() => void store.rerunTools(doubtful.map(({ callId }) => callId))}
          >
            Run it again
          </Button>
        </div>
      </section>
    );
  }
  if (run.status === "cancelled") {
    return <Notice item={{ tone: "info", text: `Stopped${run.reason ? `: ${run.reason}` : ""}.` }} />;
  }
  if (run.status !== "failed") return null;
  const { code, message } = run.error ?? { code: run.reason ?? "error", message: "The run failed." };
  return (
    <>
      <Notice item={{ tone: "danger", text: `Failed in step ${run.step}: ${message} (${code})` }} />
      <div className="actions-row">
        <Button icon="retry" disabled={busy} onClick={() => void store.retry()}>
          Retry from here
        </Button>
      </div>
    </>
  );
}

function Empty({ ready, onSample }: { ready: boolean; onSample(text: string): void }) {
  return (
    <div className="empty">
      <h2>What shall we run?</h2>
      <p className="quiet">
        A run goes on when you leave. You can pause it, stop it, and go back to any of its checkpoints.
      </p>
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
