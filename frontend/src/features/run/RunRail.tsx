import { Link, useNavigate } from "@tanstack/react-router";
import { useCallback } from "react";
import type { AgioApi } from "../../core/api";
import { clock, count } from "../../core/format";
import { shortId } from "../../core/ids";
import type { RunState } from "../../core/run-state";
import { isEnded, isRunStatus } from "../../core/status";
import { parentOf, type RunView } from "../../core/views";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { CheckpointList } from "../../ui/CheckpointList";
import { Figures } from "../../ui/Figures";
import { Icon } from "../../ui/Icon";
import { PickList } from "../../ui/PickList";
import { Status } from "../../ui/Status";
import { useWords } from "../../ui/words";
import { useNow } from "../app/useNow";
import { useResource } from "../app/useResource";
import { type ChatState, isCancelling, shownRun } from "../chat/chat-state";
import type { ChatStore } from "../chat/chat-store";
import { focusConversation } from "../chat/focus";
import { figuresOf } from "./figures";
import { MiniTrace } from "./MiniTrace";

interface RunRailProps {
  readonly api: AgioApi;
  readonly store: ChatStore;
  readonly state: ChatState;
  onRun(runId: string): void;
}

export function RunRail(props: RunRailProps) {
  const words = useWords();
  const run = shownRun(props.state);
  return (
    <aside className="rail" aria-label={words.chat.run}>
      {run === null ? <p className="quiet">{words.chat.noRun}</p> : <RunDetails {...props} run={run} />}
    </aside>
  );
}

function RunDetails({ api, store, state, onRun, run }: RunRailProps & { run: RunState }) {
  const words = useWords();
  const now = useNow(!isEnded(run.status));
  const cancelling = isCancelling(state);
  const parent = state.facts?.parent ?? null;
  const wish = cancelling ? "cancel" : run.pauseRequested ? "pause" : null;
  return (
    <>
      <section className="section" aria-label={words.run.statusSection}>
        <div className="run-head">
          <Status status={run.status} wish={wish} />
          <span className="gap" />
          <Link to="/runs/$run" params={{ run: run.runId }} className="id mono" title={words.chat.openRun}>
            {shortId(run.runId)}
          </Link>
        </div>
        {parent !== null && (
          <Button icon="branch" look={["ghost", "compact"]} onClick={() => onRun(parent.run_id)}>
            {parent.kind === "restore"
              ? words.runs.restoredFrom(shortId(parent.run_id))
              : words.runs.forkedFrom(shortId(parent.run_id))}
          </Button>
        )}
      </section>
      <section className="section" aria-labelledby="figures">
        <h2 id="figures">{words.run.figures}</h2>
        <Figures figures={figuresOf(run, state.facts, now, words)} />
      </section>
      <MiniTrace
        runId={run.runId}
        revision={run.checkpoints.length + (isEnded(run.status) ? 1_000 : 0)}
        now={now}
      />
      <Checkpoints api={api} store={store} state={state} run={run} />
      <Runs api={api} state={state} run={run} onRun={onRun} />
    </>
  );
}

interface CheckpointsProps {
  readonly api: AgioApi;
  readonly store: ChatStore;
  readonly state: ChatState;
  readonly run: RunState;
}

function Checkpoints({ api, store, state, run }: CheckpointsProps) {
  const words = useWords();
  const navigate = useNavigate();
  const { runId } = run;
  const load = useCallback(() => api.checkpoints(runId), [api, runId]);
  const known = run.lastSeq > 0;
  const { value, problem } = useResource(known ? load : null, `${run.checkpoints.length} ${state.revision}`);
  return (
    <section className="section" aria-labelledby="checkpoints">
      <h2 id="checkpoints">{words.checkpoints.title}</h2>
      {problem !== null && <Banner tone="danger">{problem}</Banner>}
      {value?.total === 0 && <p className="quiet small">{words.app.none}</p>}
      {value !== null && value.total > value.items.length && (
        <p className="quiet small">{words.checkpoints.last(value.items.length, count(value.total))}</p>
      )}
      <CheckpointList
        checkpoints={value?.items ?? []}
        busy={state.command !== null}
        onRestore={async ({ id }) => {
          if (await store.restore(id)) focusConversation();
        }}
        onFork={({ id }) => void navigate({ to: "/fork/$checkpoint", params: { checkpoint: id } })}
      />
    </section>
  );
}

interface RunsProps {
  readonly api: AgioApi;
  readonly state: ChatState;
  readonly run: RunState;
  onRun(runId: string): void;
}

/** The runs of the conversation, so that a fork can be found again. */
function Runs({ api, state, run, onRun }: RunsProps) {
  const words = useWords();
  const { sessionId } = state.selection;
  const load = useCallback(() => api.runsOfSession(sessionId ?? ""), [api, sessionId]);
  const { value } = useResource(sessionId === null ? null : load, state.revision);
  if (value === null || value.length < 2) return null;
  const statusOf = (row: RunView) => (row.id === run.runId ? run.status : row.status);
  return (
    <section className="section" aria-labelledby="runs">
      <h2 id="runs">{words.run.runs}</h2>
      <PickList
        className="runs"
        current={run.runId}
        onPick={onRun}
        picks={value.map((row) => ({ id: row.id, body: <RunRow row={row} status={statusOf(row)} /> }))}
      />
    </section>
  );
}

function RunRow({ row, status }: { row: RunView; status: string }) {
  const words = useWords();
  return (
    <>
      {isRunStatus(status) && <Status status={status} />}
      {parentOf(row) !== null && (
        <span className="status" data-tone="branched">
          <Icon name="branch" />
          <span className="unseen">{words.status.forked}</span>
        </span>
      )}
      <span className="mono quiet">{shortId(row.id)}</span>
      <span className="when">{clock(row.created_at)}</span>
    </>
  );
}
