import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect } from "react";
import type { Schemas } from "../../core/client";
import {
  type ComparedStep,
  type Comparison,
  configurationChanges,
  nextDifference,
  signed,
} from "../../core/comparison";
import { cost, count, duration, glimpse } from "../../core/format";
import { shortId } from "../../core/ids";
import { isRunStatus } from "../../core/status";
import { textOf } from "../../core/views";
import { Button } from "../../ui/Button";
import { TextDiff } from "../../ui/Diff";
import { Choice } from "../../ui/Field";
import { Icon } from "../../ui/Icon";
import { Status } from "../../ui/Status";
import { useWords } from "../../ui/words";
import { useKeys } from "../app/key-board";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { Loaded } from "../shared/Loaded";
import { ComparedRow } from "./ComparedRow";

export function ComparePage() {
  const { a, b } = useSearch({ from: "/compare" });
  return (
    <div className="page">
      <Pickers a={a ?? ""} b={b ?? ""} />
      {a !== undefined && b !== undefined && <Compared a={a} b={b} />}
    </div>
  );
}

/** Two runs to choose; those of one conversation come first. */
function Pickers({ a, b }: { a: string; b: string }) {
  const words = useWords();
  const { client } = useServices();
  const navigate = useNavigate({ from: "/compare" });
  const runs = useQuery(queries.runs(client, {}, 100));
  const items = runs.data?.items ?? [];
  const session = items.find(({ id }) => id === a || id === b)?.session_id;
  const ordered = [...items].sort(
    (x, y) => Number(y.session_id === session) - Number(x.session_id === session),
  );
  const missing = [a, b].filter((id) => id !== "" && !items.some((run) => run.id === id));
  const choices = [
    { id: "", word: "…" },
    ...missing.map((id) => ({ id, word: shortId(id) })),
    ...ordered.map((run) => ({ id: run.id, word: `${shortId(run.id)} · ${run.preview.slice(0, 50)}` })),
  ];
  const pick = (change: { a?: string; b?: string }) =>
    void navigate({ search: (old) => ({ ...old, ...change, step: undefined }) });
  return (
    <div className="filters">
      <Choice label={words.compare.a} value={a} choices={choices} onPick={(id) => pick({ a: id })} />
      <Choice label={words.compare.b} value={b} choices={choices} onPick={(id) => pick({ b: id })} />
      <Button icon="compare" onClick={() => pick({ a: b, b: a })}>
        {words.compare.swap}
      </Button>
      {(a === "" || b === "") && <p className="quiet">{words.compare.pick}</p>}
    </div>
  );
}

function Compared({ a, b }: { a: string; b: string }) {
  const { client } = useServices();
  const query = useQuery(queries.compare(client, a, b));
  return (
    <Loaded query={query} lines={8}>
      {(comparison) => <Result comparison={comparison} />}
    </Loaded>
  );
}

function Result({ comparison }: { comparison: Comparison }) {
  const words = useWords();
  const navigate = useNavigate({ from: "/compare" });
  const search = useSearch({ from: "/compare" });
  const at = search.step === undefined ? null : Number(search.step);
  const next = () => {
    const step = nextDifference(comparison.rows, at);
    if (step !== null) void navigate({ search: (old) => ({ ...old, step: String(step) }), replace: true });
  };
  useKeys({ "compare.next": next });
  useEffect(() => {
    if (at !== null) document.getElementById(`step-${at}`)?.scrollIntoView({ block: "center" });
  }, [at]);
  const { first_divergence: first, common_ancestor: ancestor } = comparison;
  return (
    <>
      <div className="compare-heads">
        <Side name={words.compare.a} run={comparison.a} />
        <Side name={words.compare.b} run={comparison.b} />
      </div>
      <Totals comparison={comparison} />
      <p className="quiet small">
        {ancestor === null ? words.compare.noAncestor : words.compare.ancestor(shortId(ancestor))}
      </p>
      <div className="compare-bar">
        <h2>{words.compare.steps}</h2>
        {first === null ? (
          <span className="status" data-tone="completed">
            <Icon name="completed" /> {words.compare.none}
          </span>
        ) : (
          <Button icon="chevron" look={["compact"]} onClick={next}>
            {words.compare.next}
          </Button>
        )}
      </div>
      <ol className="compare-rows">
        {comparison.rows.map((row) => (
          <ComparedRow key={row.step} row={row} first={row.step === first} current={row.step === at} />
        ))}
      </ol>
      <Outputs rows={comparison.rows} />
      <Configuration comparison={comparison} />
    </>
  );
}

function Side({ name, run }: { name: string; run: Schemas["RunRow"] }) {
  const words = useWords();
  return (
    <section className="panel" aria-label={name}>
      <h2>
        {name}{" "}
        <Link to="/runs/$run" params={{ run: run.id }} className="mono">
          {words.compare.open} {shortId(run.id)}
        </Link>
      </h2>
      <p>
        {isRunStatus(run.status) && <Status status={run.status} />} {run.preview}
      </p>
      <p className="quiet small">
        {run.agent_id}@{run.agent_version} · {run.model}
      </p>
    </section>
  );
}

function Totals({ comparison: { totals, a, b } }: { comparison: Comparison }) {
  const words = useWords();
  const { delta } = totals;
  const rows = [
    [words.runs.steps, totals.a.steps, totals.b.steps, delta.steps, count],
    [words.runs.tokens, totals.a.total_tokens, totals.b.total_tokens, delta.total_tokens, count],
    [words.runs.cost, totals.a.cost, totals.b.cost, delta.cost, cost],
    [words.runs.time, totals.a.duration_ms, totals.b.duration_ms, delta.duration_ms, duration],
  ] as const;
  return (
    <table className="table totals">
      <caption className="unseen">{words.compare.totals}</caption>
      <thead>
        <tr>
          <th scope="col">{words.compare.totals}</th>
          <th scope="col" className="number">
            A
          </th>
          <th scope="col" className="number">
            B
          </th>
          <th scope="col" className="number">
            {words.compare.delta}
          </th>
        </tr>
      </thead>
      <tbody>
        <tr>
          <th scope="row">{words.compare.outcome}</th>
          <td className="number">{isRunStatus(a.status) ? words.status[a.status] : a.status}</td>
          <td className="number">{isRunStatus(b.status) ? words.status[b.status] : b.status}</td>
          <td />
        </tr>
        {rows.map(([name, left, right, difference, text]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td className="number">{left === null || left === undefined ? "–" : text(left)}</td>
            <td className="number">{right === null || right === undefined ? "–" : text(right)}</td>
            <td className="number">{difference === null ? "–" : signed(difference, text)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** The last text of each side, as one. */
function Outputs({ rows }: { rows: readonly ComparedStep[] }) {
  const words = useWords();
  const last = (side: "a" | "b") => textOf(rows.findLast((row) => row[side] !== null)?.[side]?.content);
  return (
    <section className="panel" aria-label={words.compare.output}>
      <h2>{words.compare.output}</h2>
      <TextDiff before={last("a")} after={last("b")} />
    </section>
  );
}

function Configuration({ comparison }: { comparison: Comparison }) {
  const words = useWords();
  const changes = configurationChanges(comparison);
  if (changes.length === 0) return null;
  return (
    <section className="panel" aria-label={words.inspector.configuration}>
      <h2>{words.inspector.configuration}</h2>
      {changes.map(({ field, a, b }) => (
        <div key={field} className="field-change">
          <span className="mono small">{field}</span>
          <span>
            <del>{glimpse(a)}</del> <ins>{glimpse(b)}</ins>
          </span>
        </div>
      ))}
    </section>
  );
}
