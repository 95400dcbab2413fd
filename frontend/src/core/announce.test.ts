import { describe, expect, it } from "vitest";
import { decoded } from "../testing/wire";
import { announce } from "./announce";

describe("announce", () => {
  it("says that the answer is complete, politely", () => {
    expect(announce(decoded([{ type: "run_completed" }]))).toEqual({
      said: { kind: "completed" },
      urgent: false,
    });
  });

  it("never reads tokens aloud", () => {
    const tokens = [
      { type: "content_delta", content: "Hi" },
      { type: "reasoning_delta", content: "Hm" },
      { type: "step_started", step: 1 },
    ];
    expect(announce(decoded(tokens))).toBeNull();
    expect(announce([])).toBeNull();
  });

  it("interrupts for what needs a person", () => {
    const required = { type: "approval_required", approval_id: "a1", name: "send_mail" };
    expect(announce(decoded([required]))).toEqual({
      said: { kind: "approval", name: "send_mail" },
      urgent: true,
    });
    expect(announce(decoded([{ type: "run_failed" }]))?.urgent).toBe(true);
    expect(announce(decoded([{ type: "run_interrupted" }]))?.urgent).toBe(true);
  });

  it("says the last of several things, but an urgent one first of all", () => {
    const rests = [{ type: "run_paused" }, { type: "run_resumed" }];
    expect(announce(decoded(rests))?.said).toEqual({ kind: "resumed" });
    const required = { type: "approval_required", approval_id: "a1", name: "send_mail" };
    expect(announce(decoded([required, { type: "run_paused" }]))?.urgent).toBe(true);
    expect(announce(decoded([{ type: "run_cancelled" }]))?.said).toEqual({ kind: "cancelled" });
  });
});
