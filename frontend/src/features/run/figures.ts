/** The figures of a run, as the rail lists them. Pure. */

import type { RunFacts } from "../../core/facts";
import { cost, count, duration, span } from "../../core/format";
import type { RunState } from "../../core/run-state";
import { isEnded, isResting } from "../../core/status";
import type { Figure } from "../../ui/Figures";

const ifKnown = (value: number | undefined | null, text: (known: number) => string) =>
  value === undefined || value === null ? "" : text(value);

export function figuresOf(run: RunState, facts: RunFacts | null, nowMs: number): readonly Figure[] {
  const { metrics, status } = run;
  const stands = isEnded(status) || isResting(status);
  const worked = stands ? (metrics.duration_ms ?? facts?.metrics?.duration_ms) : null;
  const elapsed = worked ?? span(run.startedAt, run.endedAt ?? nowMs);
  return [
    { name: "Agent", value: run.agentId ?? "" },
    { name: "Model", value: run.model ?? "" },
    { name: "Time", value: ifKnown(elapsed, duration) },
    { name: "First token", value: ifKnown(metrics.time_to_first_token_ms, duration) },
    { name: "Step", value: run.step === 0 ? "" : count(run.step) },
    { name: "Attempt", value: run.attempt > 1 ? count(run.attempt) : "" },
    { name: "Tokens", value: ifKnown(metrics.total_tokens, count) },
    { name: "of them prompt", value: ifKnown(metrics.prompt_tokens, count) },
    { name: "of them answer", value: ifKnown(metrics.completion_tokens, count) },
    { name: "Cost", value: ifKnown(metrics.cost, cost) },
    { name: "Place in queue", value: status === "queued" ? ifKnown(facts?.queuePosition, count) : "" },
    { name: "Last event", value: run.lastSeq === 0 ? "" : count(run.lastSeq) },
  ];
}
