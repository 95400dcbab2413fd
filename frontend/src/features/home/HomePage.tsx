import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Schemas } from "../../core/client";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { Loaded } from "../shared/Loaded";
import { RunLine } from "../shared/RunLine";

export function HomePage() {
  const words = useWords();
  const { client } = useServices();
  const waiting = useQuery(queries.runs(client, { status: "waiting,interrupted" }, 20));
  const running = useQuery(queries.runs(client, { status: "running,queued,paused" }, 20));
  const failed = useQuery(queries.runs(client, { status: "failed" }, 8));
  const { home } = words;
  return (
    <div className="page">
      <header className="page-head">
        <p className="quiet">{home.intro}</p>
        <span className="gap" />
        <Link to="/chat" className="button primary">
          {home.start}
        </Link>
      </header>
      <Section title={home.needsYou}>
        <Loaded query={waiting} lines={2}>
          {({ items }) => <Lines runs={items} none={home.nothingNeeded} />}
        </Loaded>
      </Section>
      <Section title={home.running}>
        <Loaded query={running} lines={2}>
          {({ items }) => <Lines runs={items} none={home.nothingRunning} />}
        </Loaded>
      </Section>
      <Section title={home.failures}>
        <Loaded query={failed} lines={2}>
          {({ items }) => <Lines runs={items} none={home.noFailures} />}
        </Loaded>
      </Section>
    </div>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="panel" aria-label={title}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}

function Lines({ runs, none }: { runs: readonly Schemas["RunRow"][]; none: string }) {
  if (runs.length === 0) return <p className="quiet small">{none}</p>;
  return (
    <ul className="lines">
      {runs.map((run) => (
        <li key={run.id}>
          <RunLine run={run} />
        </li>
      ))}
    </ul>
  );
}
