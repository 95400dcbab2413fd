import { useCallback, useState } from "react";
import type { AgioApi } from "../../core/api";
import { clock, count } from "../../core/format";
import { shortId } from "../../core/ids";
import type { RunState } from "../../core/run-state";
import { isEnded, isRunStatus } from "../../core/status";
import { threadOf } from "../../core/thread";
import { type AgentView, type CheckpointView, parentOf, type RunView } from "../../core/views";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { CheckpointList } from "../../ui/CheckpointList";
import { Figures } from "../../ui/Figures";
import { Icon } from "../../ui/Icon";
import { PickList } from "../../ui/PickList";
import { Status } from "../../ui/Status";
import { useNow } from "../app/useNow";
import { useResource } from "../app/useResource";
import { type ChatState, isCancelling, shownRun } from "../chat/chat-state";
import type { ChatStore } from "../chat/chat-store";
import { focusConversation } from "../chat/focus";
import { ForkDialog } from "./ForkDialog";
import { figuresOf } from "./figures";

interface RunRailProps {
  readonly api: AgioApi;
  readonly store: ChatStore;
  readonly state: ChatState;
  readonly agents: readonly AgentView[];
  onRun(runId: string): void;
}

export function RunRail(props: RunRailProps) {
  const run = shownRun(props.state);
  return (
    <aside className="rail" aria-label="Run">
      {run === null ? (
        <p className="quiet">No run yet. What it does, spends and can go back to will be here.</p>
      ) : (
        <RunDetails {...props} run={run} />
      )}
    </aside>
  );
}

function RunDetails({ api, store, state, agents, onRun, run }: RunRailProps & { run: RunState }) {
  const now = useNow(!isEnded(run.status));
  const cancelling = isCancelling(state);
  const parent = state.facts?.parent ?? null;
  const wish = cancelling ? "cancel" : run.pauseRequested ? "pause" : null;
  return (
    <>
      <section className="section" aria-label="Status">
        <div className="run-head">
          <Status status={run.status} wish={wish} />
          <span className="gap" />
          <span className="id mono" title={run.runId}>
            {shortId(run.runId)}
          </span>
        </div>
        {parent !== null && (
          <Button icon="branch" look={["ghost", "compact"]} onClick={() => onRun(parent.run_id)}>
            {parent.kind === "restore" ? "Restored" : "Forked"} from run {shortId(parent.run_id)}
          </Button>
        )}
      </section>
      <section className="section" aria-labelledby="figures">
        <h2 id="figures">Figures</h2>
        <Figures figures={figuresOf(run, state.facts, now)} />
      </section>
      <Checkpoints api={api} store={store} state={state} run={run} agents={agents} />
      <Runs api={api} state={state} run={run} onRun={onRun} />
    </>
  );
}

interface CheckpointsProps {
  readonly api: AgioApi;
  readonly store: ChatStore;
  readonly state: ChatState;
  readonly run: RunState;
  readonly agents: readonly AgentView[];
}

function Checkpoints({ api, store, state, run, agents }: CheckpointsProps) {
  const [forking, setForking] = useState<CheckpointView | null>(null);
  const { runId } = run;
  const load = useCallback(() => api.checkpoints(runId), [api, runId]);
  const known = run.lastSeq > 0;
  const { value, problem } = useResource(known ? load : null, `${run.checkpoints.length} ${state.revision}`);
  const busy = state.command !== null;
  const question = threadOf(state.history, state.run).findLast(
    (item) => item.kind === "message" && item.role === "user",
  );
  return (
    <section className="section" aria-labelledby="checkpoints">
      <h2 id="checkpoints">Checkpoints</h2>
      {problem !== null && <Banner tone="danger">{problem}</Banner>}
      {value?.total === 0 && <p className="quiet small">None yet.</p>}
      {value !== null && value.total > value.items.length && (
        <p className="quiet small">
          The last {value.items.length} of {count(value.total)}.
        </p>
      )}
      <CheckpointList
        checkpoints={value?.items ?? []}
        busy={busy}
        onRestore={async ({ id }) => {
          if (await store.restore(id)) focusConversation();
        }}
        onFork={(checkpoint) => {
          store.dismissProblem();
          setForking(checkpoint);
        }}
      />
      {forking !== null && (
        <ForkDialog
          checkpoint={forking}
          agent={agents.find(({ id }) => id === run.agentId) ?? null}
          model={run.model}
          query={question?.kind === "message" ? question.text : ""}
          busy={busy}
          problem={state.problem}
          onClose={() => {
            store.dismissProblem();
            setForking(null);
          }}
          onFork={async (checkpointId, modifications) => {
            if (!(await store.fork(checkpointId, modifications))) return;
            setForking(null);
            focusConversation();
          }}
        />
      )}
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
  const { sessionId } = state.selection;
  const load = useCallback(() => api.runsOfSession(sessionId ?? ""), [api, sessionId]);
  const { value } = useResource(sessionId === null ? null : load, state.revision);
  if (value === null || value.length < 2) return null;
  const statusOf = (row: RunView) => (row.id === run.runId ? run.status : row.status);
  return (
    <section className="section" aria-labelledby="runs">
      <h2 id="runs">Runs of this conversation</h2>
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
  return (
    <>
      {isRunStatus(status) && <Status status={status} />}
      {parentOf(row) !== null && (
        <span className="status" data-tone="branched">
          <Icon name="branch" />
          <span className="unseen">forked</span>
        </span>
      )}
      <span className="mono quiet">{shortId(row.id)}</span>
      <span className="when">{clock(row.created_at)}</span>
    </>
  );
}
