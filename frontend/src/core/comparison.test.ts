import { describe, expect, it } from "vitest";
import type { Schemas } from "./client";
import { commandPhase, SLOW_MS } from "./command";
import {
  type ComparedStep,
  type Comparison,
  configurationChanges,
  nextDifference,
  signed,
} from "./comparison";

const row = (step: number, kind: ComparedStep["kind"]): ComparedStep => ({
  step,
  kind,
  a: null,
  b: null,
  changes: [],
});
const ROWS = [row(1, "same"), row(2, "changed"), row(3, "same"), row(4, "only_b")];

describe("nextDifference", () => {
  it("goes from one to the next, and round at the end", () => {
    expect([null, 2, 3, 4].map((from) => nextDifference(ROWS, from))).toEqual([2, 4, 4, 2]);
  });

  it("is nowhere between equal runs", () => {
    expect(nextDifference([row(1, "same")], null)).toBeNull();
  });
});

describe("configurationChanges", () => {
  it("names what the runs were started with differently", () => {
    const run = (rest: object) =>
      ({
        agent_id: "a",
        agent_version: 1,
        model: "m",
        tags: [],
        metadata: {},
        ...rest,
      }) as unknown as Schemas["RunRow"];
    const comparison = { a: run({}), b: run({ model: "n", tags: ["x"] }) } as unknown as Comparison;
    expect(configurationChanges(comparison)).toEqual([
      { field: "model", a: "m", b: "n" },
      { field: "tags", a: [], b: ["x"] },
    ]);
  });
});

describe("signed", () => {
  it("always says which way", () => {
    expect([3, -3, 0].map((n) => signed(n, String))).toEqual(["+3", "−3", "±0"]);
  });
});

describe("commandPhase", () => {
  const pause = { name: "pause", sentAtMs: 0, acceptedAtMs: 10 } as const;

  it("is sent until the server answers, and said to be slow after five seconds", () => {
    expect(commandPhase({ ...pause, acceptedAtMs: null }, "running", 100)).toBe("sent");
    expect(commandPhase({ ...pause, acceptedAtMs: null }, "running", SLOW_MS + 1)).toBe("slow");
  });

  it("is accepted until it has taken effect", () => {
    expect(commandPhase(pause, "running", 100)).toBe("accepted");
    expect(commandPhase(pause, "running", SLOW_MS + 11)).toBe("slow");
    expect(commandPhase(pause, "paused", 100_000)).toBe("done");
  });

  it.each([
    ["resume", "running", "done"],
    ["resume", "paused", "accepted"],
    ["cancel", "cancelled", "done"],
    ["cancel", "running", "accepted"],
    ["retry", "completed", "done"],
  ] as const)("%s of a run that is %s is %s", (name, status, phase) => {
    expect(commandPhase({ ...pause, name }, status, 20)).toBe(phase);
  });
});
