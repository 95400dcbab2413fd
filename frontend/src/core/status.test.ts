import { describe, expect, it } from "vitest";
import { controlsOf, isEnded, isResting, isRunStatus, RUN_STATUSES, type RunStatus } from "./status";

function offered(status: RunStatus, wishes: { pause?: boolean; cancel?: boolean } = {}): string[] {
  const controls = controlsOf({
    status,
    pauseRequested: wishes.pause ?? false,
    cancelRequested: wishes.cancel ?? false,
  });
  return Object.entries(controls)
    .filter(([, on]) => on)
    .map(([name]) => name);
}

describe("controlsOf", () => {
  it.each([
    ["queued", ["pause", "cancel"]],
    ["running", ["pause", "cancel"]],
    ["paused", ["resume", "cancel"]],
    ["waiting", ["cancel"]],
    ["interrupted", ["resume", "cancel", "retry"]],
    ["completed", ["send"]],
    ["failed", ["retry", "send"]],
    ["cancelled", ["send"]],
  ] as const)("offers a %s run %j", (status, names) => {
    expect(offered(status)).toEqual(names);
  });

  it("does not offer a pause twice", () => {
    expect(offered("running", { pause: true })).toEqual(["cancel"]);
  });

  it("offers nothing more once a stop was accepted", () => {
    expect(offered("running", { cancel: true })).toEqual([]);
    expect(offered("paused", { cancel: true })).toEqual([]);
  });

  it("lets a person send when there is no run", () => {
    expect(controlsOf(null)).toMatchObject({ send: true, cancel: false, pause: false });
  });
});

describe("statuses", () => {
  it("are either live, resting or ended", () => {
    expect(RUN_STATUSES.filter(isEnded)).toEqual(["completed", "failed", "cancelled"]);
    expect(RUN_STATUSES.filter(isResting)).toEqual(["paused", "waiting", "interrupted"]);
  });

  it("are known by name only", () => {
    expect(isRunStatus("running")).toBe(true);
    expect(isRunStatus("exploded")).toBe(false);
    expect(isRunStatus(undefined)).toBe(false);
  });
});
