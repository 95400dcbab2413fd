/** The figures of a run, as the rail lists them. Pure. */

import type { RunFacts } from "../../core/facts";
import { cost, count, duration, span } from "../../core/format";
import type { Words } from "../../core/i18n/words";
import type { RunState } from "../../core/run-state";
import { isEnded, isResting } from "../../core/status";
import type { Figure } from "../../ui/Figures";

const ifKnown = (value: number | undefined | null, text: (known: number) => string) =>
  value === undefined || value === null ? "" : text(value);

export function figuresOf(
  run: RunState,
  facts: RunFacts | null,
  nowMs: number,
  words: Words,
): readonly Figure[] {
  const { metrics, status } = run;
  const stands = isEnded(status) || isResting(status);
  const worked = stands ? (metrics.duration_ms ?? facts?.metrics?.duration_ms) : null;
  const elapsed = worked ?? span(run.startedAt, run.endedAt ?? nowMs);
  return [
    { name: words.runs.agent, value: run.agentId ?? "" },
    { name: words.run.model, value: run.model ?? "" },
    { name: words.runs.time, value: ifKnown(elapsed, duration) },
    { name: words.run.firstToken, value: ifKnown(metrics.time_to_first_token_ms, duration) },
    { name: words.run.step, value: run.step === 0 ? "" : count(run.step) },
    { name: words.run.attempt, value: run.attempt > 1 ? count(run.attempt) : "" },
    { name: words.runs.tokens, value: ifKnown(metrics.total_tokens, count) },
    { name: words.run.prompt, value: ifKnown(metrics.prompt_tokens, count) },
    { name: words.run.answer, value: ifKnown(metrics.completion_tokens, count) },
    { name: words.runs.cost, value: ifKnown(metrics.cost, cost) },
    { name: words.run.place, value: status === "queued" ? ifKnown(facts?.queuePosition, count) : "" },
    { name: words.run.lastEvent, value: run.lastSeq === 0 ? "" : count(run.lastSeq) },
  ];
}
