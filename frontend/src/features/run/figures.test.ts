import { describe, expect, it } from "vitest";
import { en } from "../../core/i18n/en";
import { applyEvents } from "../../core/reduce";
import { newRunState } from "../../core/run-state";
import { at, decoded } from "../../testing/wire";
import { figuresOf } from "./figures";

const NOW = Date.parse(at(1)) + 7_500;
const STARTED = { type: "run_started", agent_id: "assistant", model: "demo" };

function figures(...events: { type: string; [field: string]: unknown }[]): Record<string, string> {
  const run = applyEvents(newRunState("r1"), decoded([STARTED, ...events]));
  return Object.fromEntries(
    figuresOf(run, null, NOW, en)
      .filter(({ value }) => value !== "")
      .map(({ name, value }) => [name, value]),
  );
}

describe("figuresOf", () => {
  it("counts the time of a live run from its start", () => {
    expect(figures({ type: "step_started", step: 2 })).toEqual({
      Agent: "assistant",
      Model: "demo",
      Time: "7.5 s",
      Step: "2",
      "Last event": "2",
    });
  });

  it("shows an ended run's own totals", () => {
    const metrics = {
      total_tokens: 1_234,
      prompt_tokens: 1_200,
      completion_tokens: 34,
      duration_ms: 900,
      time_to_first_token_ms: 41,
      cost: 0.0123,
    };
    expect(figures({ type: "run_completed", metrics })).toMatchObject({
      Time: "900 ms",
      "First token": "41 ms",
      Tokens: "1,234",
      "of them prompt": "1,200",
      "of them answer": "34",
      Cost: "$0.0123",
    });
  });

  it("shows an attempt from the second on", () => {
    expect(figures({ type: "run_restored", attempt: 2 }).Attempt).toBe("2");
    expect(figures()).not.toHaveProperty("Attempt");
  });
});
