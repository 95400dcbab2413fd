import { describe, expect, expectTypeOf, it } from "vitest";
import {
  compactedThrough,
  decodeEvent,
  decodeFrame,
  EVENT_SHAPES,
  type EventOf,
  isTerminal,
  seqOfId,
} from "./events";

describe("decodeEvent", () => {
  it("returns the fields of a known event with its number", () => {
    const data = { type: "content_delta", run_id: "r1", seq: 7, at: "2026-01-01T12:00:00Z", step: 1 };
    const event = decodeEvent("content_delta", { ...data, message_id: "m1", content: "Hi", later: "field" });
    expect(event).toEqual({ ...data, message_id: "m1", content: "Hi" });
  });

  it("ignores an event that this page does not know", () => {
    expect(decodeEvent("run_teleported", { type: "run_teleported", seq: 1 })).toBeNull();
    expect(decodeEvent("toString", { seq: 1 })).toBeNull();
  });

  it("ignores a known event that lacks what it must have", () => {
    expect(decodeEvent("content_delta", { seq: 1, message_id: "m1" })).toBeNull();
    expect(decodeEvent("tool_call_started", { seq: 1, name: "search" })).toBeNull();
    expect(decodeEvent("content_delta", "text")).toBeNull();
  });

  it("takes the name from the data where the frame had none", () => {
    const event = decodeEvent("message", { type: "run_paused", seq: 3, by: "ann" });
    expect(event).toMatchObject({ type: "run_paused", by: "ann" });
  });

  it("takes the number from the id where the data has none", () => {
    expect(decodeEvent("run_started", { run_id: "r1" }, "1")).toMatchObject({ seq: 1, run_id: "r1" });
    expect(decodeEvent("run_started", { run_id: "r1" }, "r1/4")).toMatchObject({ seq: 4 });
  });

  it("ignores an event without a number: it could not be applied once only", () => {
    expect(decodeEvent("run_started", { run_id: "r1" })).toBeNull();
  });

  it("types each event by its row of the table", () => {
    expectTypeOf<EventOf<"content_delta">["content"]>().toEqualTypeOf<string>();
    expectTypeOf<EventOf<"run_failed">["type"]>().toEqualTypeOf<"run_failed">();
    expectTypeOf<EventOf<"tool_call_started">["arguments"]>().toEqualTypeOf<unknown>();
  });
});

describe("decodeFrame", () => {
  it("decodes the data of a frame", () => {
    const frame = { event: "step_started", data: '{"type":"step_started","seq":2,"step":1}', id: "2" };
    expect(decodeFrame(frame)).toMatchObject({ type: "step_started", step: 1, seq: 2 });
  });

  it("ignores a frame whose data is not JSON", () => {
    expect(decodeFrame({ event: "step_started", data: "step one", id: "2" })).toBeNull();
  });
});

describe("event table", () => {
  it("has every event of the wire", () => {
    const names = [
      ...[
        "run_started",
        "step_started",
        "step_completed",
        "reasoning_delta",
        "content_delta",
        "content_reset",
      ],
      ...[
        "message_completed",
        "plan_updated",
        "tool_call_started",
        "tool_call_completed",
        "tool_call_failed",
      ],
      ...[
        "approval_required",
        "approval_resolved",
        "checkpoint_created",
        "run_pause_requested",
        "run_paused",
      ],
      ...["run_resumed", "run_recovered", "run_restored", "warning", "run_completed", "run_failed"],
      ...["run_cancelled", "run_waiting", "run_interrupted"],
    ];
    expect(Object.keys(EVENT_SHAPES).sort()).toEqual(names.sort());
  });

  it("has three terminal events", () => {
    const terminal = Object.keys(EVENT_SHAPES).filter(isTerminal);
    expect(terminal).toEqual(["run_completed", "run_failed", "run_cancelled"]);
  });
});

describe("seqOfId", () => {
  it.each([
    ["12", 12],
    ["run-1/12", 12],
    ["a/b/3", 3],
    ["", null],
    ["r1/", null],
    ["1e3", null],
    ["-1", null],
    ["9999999999999999", null],
    [undefined, null],
  ])("reads %j as %j", (id, seq) => {
    expect(seqOfId(id)).toBe(seq);
  });
});

describe("compactedThrough", () => {
  it("returns the last covered id", () => {
    expect(compactedThrough({ compacted: { through_seq: 40 } })).toBe(40);
  });

  it("returns null for an ordinary delta", () => {
    expect(compactedThrough({ compacted: undefined })).toBeNull();
    expect(compactedThrough({ compacted: { through_seq: "40" } })).toBeNull();
  });
});
