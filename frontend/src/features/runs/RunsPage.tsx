import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type KeyboardEvent, useEffect, useState } from "react";
import type { Schemas } from "../../core/client";
import { clock, cost, count, duration, span } from "../../core/format";
import { shortId } from "../../core/ids";
import { isEnded, isRunStatus, RUN_STATUSES } from "../../core/status";
import { Button } from "../../ui/Button";
import { Choice, Field } from "../../ui/Field";
import { Icon } from "../../ui/Icon";
import { Status } from "../../ui/Status";
import { useWords } from "../../ui/words";
import { useKeys } from "../app/key-board";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { useNow } from "../app/useNow";
import { Loaded } from "../shared/Loaded";

type Row = Schemas["RunRow"];

export function RunsPage() {
  const words = useWords();
  const { client } = useServices();
  const navigate = useNavigate({ from: "/runs" });
  const { status, agent, q, marks = "" } = useSearch({ from: "/runs" });
  const [limit, setLimit] = useState(50);
  const runs = useQuery(queries.runs(client, { status, agent, q }, limit));
  const agents = useQuery(queries.agents(client));
  const marked = marks === "" ? [] : marks.split(",");
  // Where one goes from here.
  useEffect(() => void import("../run/RunPage"), []);
  const filter = (change: { status?: string; agent?: string; q?: string; marks?: string }) =>
    void navigate({ search: (old) => ({ ...old, ...change }), replace: true });
  const toggle = (id: string) => {
    const next = marked.includes(id) ? marked.filter((one) => one !== id) : [...marked.slice(-1), id];
    filter({ marks: next.join(",") });
  };
  const compare = () => {
    const [a, b] = marked;
    if (a !== undefined && b !== undefined) void navigate({ to: "/compare", search: { a, b } });
  };
  useKeys({
    "list.compare": compare,
    "list.mark": () => {
      const id = document.activeElement?.closest<HTMLElement>("[data-run]")?.dataset.run;
      if (id !== undefined) toggle(id);
    },
  });
  return (
    <div className="page">
      <div className="filters">
        <Field
          label={words.runs.search}
          kind="search"
          value={q ?? ""}
          onText={(text) => filter({ q: text || undefined })}
        />
        <Choice
          label={words.runs.status}
          value={status ?? ""}
          choices={[
            { id: "", word: words.runs.all },
            ...RUN_STATUSES.map((one) => ({ id: one as string, word: words.status[one] })),
          ]}
          onPick={(picked) => filter({ status: picked || undefined })}
        />
        <Choice
          label={words.runs.agent}
          value={agent ?? ""}
          choices={[
            { id: "", word: words.runs.all },
            ...(agents.data?.items ?? []).map(({ id, name }) => ({ id, word: name })),
          ]}
          onPick={(picked) => filter({ agent: picked || undefined })}
        />
        <div className="marks" role="status">
          {marked.length > 0 && <span className="quiet small">{words.runs.marked(marked.length)}</span>}
          {marked.length === 2 && (
            <Button icon="compare" look={["primary"]} onClick={compare}>
              {words.runs.compareMarked}
            </Button>
          )}
        </div>
      </div>
      <Loaded query={runs} lines={8}>
        {({ items, total }) => (
          <>
            <RunTable runs={items} marked={marked} onMark={toggle} />
            <p className="quiet small table-foot">
              {words.app.showing(items.length, total)}
              {items.length < total && (
                <Button look={["compact"]} onClick={() => setLimit((old) => Math.min(100, old + 50))}>
                  {words.app.more}
                </Button>
              )}
            </p>
          </>
        )}
      </Loaded>
    </div>
  );
}

interface TableProps {
  readonly runs: readonly Row[];
  readonly marked: readonly string[];
  onMark(id: string): void;
}

function RunTable({ runs, marked, onMark }: TableProps) {
  const words = useWords();
  const live = runs.some(({ status }) => isRunStatus(status) && !isEnded(status));
  const now = useNow(live);
  if (runs.length === 0) {
    return (
      <div className="none">
        <p>{words.runs.none}</p>
        <p className="quiet small">{words.runs.noneHint}</p>
      </div>
    );
  }
  const head = words.runs;
  return (
    <div className="table-box" tabIndex={0} role="region" aria-label={head.title}>
      <table className="table" onKeyDown={moveFocus}>
        <thead>
          <tr>
            <th scope="col">
              <span className="unseen">{head.mark("")}</span>
            </th>
            <th scope="col">{head.status}</th>
            <th scope="col">{head.question}</th>
            <th scope="col">{head.agent}</th>
            <th scope="col" className="number">
              {head.steps}
            </th>
            <th scope="col" className="number">
              {head.tokens}
            </th>
            <th scope="col" className="number">
              {head.cost}
            </th>
            <th scope="col" className="number">
              {head.time}
            </th>
            <th scope="col">{head.started}</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.id} data-run={run.id} data-marked={marked.includes(run.id) || undefined}>
              <td>
                <input
                  type="checkbox"
                  aria-label={head.mark(shortId(run.id))}
                  checked={marked.includes(run.id)}
                  onChange={() => onMark(run.id)}
                />
              </td>
              <td>{isRunStatus(run.status) && <Status status={run.status} />}</td>
              <td className="wide">
                <Link to="/runs/$run" params={{ run: run.id }} className="row-link">
                  {run.preview || shortId(run.id)}
                </Link>
                <Origin run={run} />
              </td>
              <td>{run.agent_id}</td>
              <td className="number">{run.step > 0 ? count(run.step) : ""}</td>
              <td className="number">{run.metrics.total_tokens ? count(run.metrics.total_tokens) : ""}</td>
              <td className="number">{typeof run.metrics.cost === "number" ? cost(run.metrics.cost) : ""}</td>
              <td className="number">{timeOf(run, now)}</td>
              <td className="when">{clock(run.created_at)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Origin({ run }: { run: Row }) {
  const words = useWords();
  if (!run.parent) return null;
  const say = run.parent.kind === "restore" ? words.runs.restoredFrom : words.runs.forkedFrom;
  return (
    <span className="status origin" data-tone="branched" title={say(shortId(run.parent.run_id))}>
      <Icon name="branch" />
      {shortId(run.parent.run_id)}
    </span>
  );
}

function timeOf(run: Row, nowMs: number): string {
  if (run.metrics.duration_ms) return duration(run.metrics.duration_ms);
  const ms = span(run.started_at, run.ended_at ?? nowMs);
  return ms === null ? "" : duration(ms);
}

/** j and k walk through the rows, as in lists elsewhere. */
function moveFocus(event: KeyboardEvent): void {
  const step =
    event.key === "j" || event.key === "ArrowDown"
      ? 1
      : event.key === "k" || event.key === "ArrowUp"
        ? -1
        : 0;
  const rows = [...event.currentTarget.querySelectorAll<HTMLElement>(".row-link")];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  if (step === 0 || at < 0) return;
  event.preventDefault();
  rows[Math.min(rows.length - 1, Math.max(0, at + step))]?.focus();
}
