import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { cost, count, duration, span } from "../../core/format";
import { shortId } from "../../core/ids";
import { isEnded, isRunStatus } from "../../core/status";
import { type TraceGroup, type TraceLine, traceGroups } from "../../core/trace-groups";
import { Field } from "../../ui/Field";
import { Status } from "../../ui/Status";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { useNow } from "../app/useNow";
import { Loaded } from "../shared/Loaded";

/** Runs as bars in time, those of one conversation together. */
export function TracesPage() {
  const words = useWords();
  const { client } = useServices();
  const navigate = useNavigate({ from: "/traces" });
  const { q } = useSearch({ from: "/traces" });
  const runs = useQuery(queries.runs(client, { q }, 100));
  const live = (runs.data?.items ?? []).some(({ status }) => isRunStatus(status) && !isEnded(status));
  const now = useNow(live);
  return (
    <div className="page">
      <div className="filters">
        <Field
          label={words.traces.find}
          kind="search"
          value={q ?? ""}
          onText={(text) => void navigate({ search: { q: text || undefined }, replace: true })}
        />
      </div>
      <Loaded query={runs} lines={8}>
        {({ items }) =>
          items.length === 0 ? (
            <div className="none">
              <p>{words.traces.none}</p>
              <p className="quiet small">{words.traces.noneHint}</p>
            </div>
          ) : (
            traceGroups(items, now).map((group) => <Group key={group.sessionId} group={group} now={now} />)
          )
        }
      </Loaded>
    </div>
  );
}

function Group({ group, now }: { group: TraceGroup; now: number }) {
  const words = useWords();
  const { sessionId, lines, spanMs, tokens, cost: spent } = group;
  const title = lines[0]?.run.preview || words.chat.untitled;
  const facts = [
    words.traces.count(lines.length),
    spanMs === null ? "" : words.traces.span(duration(spanMs)),
    tokens === 0 ? "" : words.runs.tokensOf(count(tokens)),
    spent === 0 ? "" : cost(spent),
  ].filter(Boolean);
  return (
    <section className="panel" aria-label={title}>
      <div className="trace-head">
        <h2 className="clip">
          <Link to="/chat/$session" params={{ session: sessionId }}>
            {title}
          </Link>
        </h2>
        <span className="quiet small">{facts.join(" · ")}</span>
      </div>
      <ul className="lines">
        {lines.map((line) => (
          <li key={line.run.id}>
            <Line line={line} now={now} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Line({ line: { run, depth, bar }, now }: { line: TraceLine; now: number }) {
  const ms = run.metrics.duration_ms || span(run.started_at, run.ended_at ?? now);
  return (
    <Link to="/runs/$run" params={{ run: run.id }} className="trace-line">
      <span className="trace-name" style={{ paddingLeft: depth * 16 }}>
        {isRunStatus(run.status) && <Status status={run.status} />}
        <span className="clip">{run.preview || shortId(run.id)}</span>
      </span>
      <span className="grid-chart" aria-hidden="true">
        {bar !== null && (
          <span
            className="span-bar"
            data-status={run.status}
            style={{ left: `${bar.from * 100}%`, width: `max(3px, ${(bar.to - bar.from) * 100}%)` }}
          />
        )}
      </span>
      <span className="number quiet small">
        {run.metrics.total_tokens ? count(run.metrics.total_tokens) : ""}
      </span>
      <span className="number quiet small">{ms === null ? "" : duration(ms)}</span>
    </Link>
  );
}
