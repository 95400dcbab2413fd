import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { Schemas } from "../../core/client";
import { cost, count, duration, span } from "../../core/format";
import type { Words } from "../../core/i18n/words";
import { shortId } from "../../core/ids";
import { messageOf } from "../../core/problem";
import { type Controls, controlsOf, isRunStatus } from "../../core/status";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Confirm";
import { Icon } from "../../ui/Icon";
import { Status } from "../../ui/Status";
import { useWords } from "../../ui/words";
import { useKeys } from "../app/key-board";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { CopyAs, type NamedAction } from "../shared/CopyAs";
import { CommandState, type IssuedCommand } from "./CommandState";

type Run = Schemas["RunView"];
type CommandName = "pause" | "resume" | "cancel" | "retry";

export function RunHead({ run, now, selected }: { run: Run; now: number; selected: string | null }) {
  const words = useWords();
  const navigate = useNavigate();
  const { issue, issued, problem } = useCommands(run);
  const [stopping, setStopping] = useState(false);
  const status = isRunStatus(run.status) ? run.status : "running";
  const controls = controlsOf({
    status,
    pauseRequested: run.pause_requested,
    cancelRequested: run.cancel_requested,
  });
  const checkpoint = selected ?? run.last_checkpoint_id ?? null;
  const wish = run.cancel_requested ? "cancel" : run.pause_requested ? "pause" : null;
  useKeys({
    "run.pause": () => (controls.pause ? issue("pause") : controls.resume && issue("resume")),
    "run.cancel": () => controls.cancel && setStopping(true),
  });
  return (
    <header className="run-head-bar">
      <div className="run-title">
        <Status status={status} wish={controls.send ? null : wish} />
        <h2>{run.preview || words.run.title(shortId(run.id))}</h2>
        <span className="mono quiet" title={run.id}>
          {shortId(run.id)}
        </span>
      </div>
      <p className="run-facts quiet small">
        <span>
          {run.agent_id}@{run.agent_version}
        </span>
        <span>{run.model}</span>
        <Origin run={run} />
        {run.owner && (
          <span>
            {words.run.worker} {run.owner.worker}
          </span>
        )}
        <span>{`${words.run.step} ${count(run.step)}`}</span>
        {run.metrics.total_tokens ? (
          <span>{words.runs.tokensOf(count(run.metrics.total_tokens))}</span>
        ) : null}
        {typeof run.metrics.cost === "number" && <span>{cost(run.metrics.cost)}</span>}
        <span>{elapsed(run, now)}</span>
      </p>
      <div className="run-do">
        {controls.pause && (
          <Button icon="paused" disabled={issued?.acceptedAtMs === null} onClick={() => issue("pause")}>
            {words.command.pause}
          </Button>
        )}
        {controls.resume && (
          <Button icon="resume" look={["primary"]} onClick={() => issue("resume")}>
            {words.command.resume}
          </Button>
        )}
        {controls.retry && (
          <Button icon="retry" onClick={() => issue("retry")}>
            {words.command.retry}
          </Button>
        )}
        {controls.cancel && (
          <Button icon="stop" look={["danger"]} onClick={() => setStopping(true)}>
            {words.command.stop}
          </Button>
        )}
        {checkpoint !== null && (
          <Button
            icon="branch"
            onClick={() => void navigate({ to: "/fork/$checkpoint", params: { checkpoint } })}
          >
            {words.command.fork}
          </Button>
        )}
        <ComparePick run={run} />
        <Link
          to="/chat/$session"
          params={{ session: run.session_id }}
          search={{ run: run.id }}
          className="button"
        >
          <Icon name="chat" />
          {words.run.openChat}
        </Link>
        <CopyAs actions={commandsOf(run, controls, checkpoint, words)} />
      </div>
      <CommandState issued={issued} run={run} />
      {problem !== null && <Banner tone="danger">{problem}</Banner>}
      {stopping && (
        <Confirm
          title={words.command.confirmStop}
          hint={words.command.confirmStopHint}
          action={words.command.stop}
          keep={words.command.keep}
          onClose={() => setStopping(false)}
          onConfirm={() => {
            setStopping(false);
            issue("cancel");
          }}
        />
      )}
    </header>
  );
}

function useCommands(run: Run) {
  const { client } = useServices();
  const queryClient = useQueryClient();
  const [issued, setIssued] = useState<IssuedCommand | null>(null);
  const path = { run_id: run.id };
  const send = useMutation({
    mutationFn: async (name: CommandName) => {
      if (name === "pause") await client.post("/api/runs/{run_id}/pause", { path, body: {} });
      if (name === "resume") await client.post("/api/runs/{run_id}/resume", { path, body: {} });
      if (name === "cancel") await client.post("/api/runs/{run_id}/cancel", { path, body: {} });
      if (name === "retry") await client.post("/api/runs/{run_id}/retry", { path });
    },
    onMutate: (name) => setIssued({ name, sentAtMs: Date.now(), acceptedAtMs: null }),
    onSuccess: () => {
      setIssued((old) => (old === null ? null : { ...old, acceptedAtMs: Date.now() }));
      void queryClient.invalidateQueries({ queryKey: ["run", run.id] });
    },
    onError: () => setIssued(null),
  });
  return { issue: send.mutate, issued, problem: send.error === null ? null : messageOf(send.error) };
}

/** Every command of the run that is possible now, and how to read it. */
function commandsOf(
  run: Run,
  controls: Controls,
  checkpoint: string | null,
  words: Words,
): readonly NamedAction[] {
  const path = `/api/runs/${encodeURIComponent(run.id)}`;
  const possible = (["pause", "resume", "cancel", "retry"] as const).filter((name) => controls[name]);
  const { fork, restore, stop, ...rest } = words.command;
  const to = checkpoint === null ? null : `/api/checkpoints/${encodeURIComponent(checkpoint)}`;
  return [
    ...possible.map(
      (name): NamedAction => ({
        name: name === "cancel" ? stop : rest[name],
        action: { method: "POST", path: `${path}/${name}`, ...(name === "retry" ? {} : { body: {} }) },
      }),
    ),
    ...(to === null
      ? []
      : [
          {
            name: fork,
            action: { method: "POST", path: `${to}/fork`, body: { modifications: {} } },
          } as const,
          {
            name: restore,
            action: { method: "POST", path: `${to}/restore`, body: { create_new_run: true } },
          } as const,
        ]),
    { name: words.run.section, action: { method: "GET", path } },
    { name: words.run.raw, action: { method: "GET", path: `${path}/events` } },
  ];
}

function elapsed(run: Run, now: number): string {
  const ms = run.metrics.duration_ms || span(run.started_at, run.ended_at ?? now);
  return ms === null ? "" : duration(ms);
}

function Origin({ run }: { run: Run }) {
  const words = useWords();
  if (!run.parent) return null;
  const { kind, run_id } = run.parent;
  const say = kind === "restore" ? words.runs.restoredFrom : words.runs.forkedFrom;
  return (
    <Link to="/runs/$run" params={{ run: run_id }} search={{ ckpt: run.parent.checkpoint_id }}>
      {say(shortId(run_id))}
    </Link>
  );
}

/** Offers the other runs of the conversation: siblings of a fork are what one compares. */
function ComparePick({ run }: { run: Run }) {
  const words = useWords();
  const navigate = useNavigate();
  const { client } = useServices();
  const others = useQuery(queries.runs(client, { session: run.session_id }, 50));
  const items = (others.data?.items ?? []).filter(({ id }) => id !== run.id);
  if (items.length === 0) return null;
  return (
    <select
      className="input compare-pick"
      aria-label={words.run.siblings}
      value=""
      onChange={(event) => void navigate({ to: "/compare", search: { a: run.id, b: event.target.value } })}
    >
      <option value="">{words.run.siblings}…</option>
      {items.map(({ id, preview, parent }) => (
        <option key={id} value={id}>
          {`${shortId(id)} ${parent?.run_id === run.id ? `(${words.status.forked})` : ""} ${preview.slice(0, 40)}`}
        </option>
      ))}
    </select>
  );
}
