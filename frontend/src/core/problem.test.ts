import { describe, expect, it } from "vitest";
import { json } from "../testing/wire";
import { ApiError, errorOf, messageOf, retryAfterMs } from "./problem";

describe("errorOf", () => {
  it("reads a problem body", async () => {
    const body = { type: "run_ended", title: "Conflict", status: 409, detail: "the run is completed" };
    const error = await errorOf(json({ ...body, request_id: "q1", retryable: false }, 409));
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      message: "the run is completed",
      status: 409,
      code: "run_ended",
      retryable: false,
      requestId: "q1",
    });
  });

  it("reads the fields of a validation error, whose detail is a list", async () => {
    const detail = [{ loc: ["body", "message"], msg: "Field required", type: "missing" }];
    const errors = [{ field: "message", message: "Field required" }];
    const error = await errorOf(json({ type: "validation_error", detail, errors }, 422));
    expect(error.message).toBe("body.message: Field required");
    expect(error.fields).toEqual(errors);
  });

  it("falls back to the title, then to the status", async () => {
    expect((await errorOf(json({ title: "Not found" }, 404))).message).toBe("Not found");
    expect((await errorOf(json({}, 404))).message).toBe("The server answered 404.");
    expect((await errorOf(json({ detail: [] }, 422))).message).toBe("The server answered 422.");
  });

  it("survives a body that is not JSON", async () => {
    const page = new Response("<html>Bad gateway</html>", { status: 502, headers: { "x-request-id": "q2" } });
    const error = await errorOf(page);
    expect(error).toMatchObject({ status: 502, code: "http_502", retryable: true, requestId: "q2" });
  });

  it.each([
    [408, true],
    [429, true],
    [503, true],
    [504, true],
    [400, false],
    [404, false],
    [409, false],
    [500, false],
  ])("takes %i for retryable: %s", async (status, retryable) => {
    expect((await errorOf(json({}, status))).retryable).toBe(retryable);
  });

  it("believes the problem when it says whether to try again", async () => {
    expect((await errorOf(json({ retryable: true }, 500))).retryable).toBe(true);
    expect((await errorOf(json({ retryable: false }, 503))).retryable).toBe(false);
  });

  it("reads Retry-After", async () => {
    const error = await errorOf(json({}, 503, { "retry-after": "7" }));
    expect(error.retryAfterMs).toBe(7_000);
  });
});

describe("retryAfterMs", () => {
  const now = Date.parse("2026-01-01T12:00:00Z");

  it.each([
    [null, null],
    ["", null],
    ["soon", null],
    ["0", 0],
    ["2.5", 2_500],
    ["-3", 0],
    ["Thu, 01 Jan 2026 12:00:30 GMT", 30_000],
    ["Thu, 01 Jan 2026 11:00:00 GMT", 0],
  ])("reads %j as %j", (header, ms) => {
    expect(retryAfterMs(header, now)).toBe(ms);
  });
});

describe("messageOf", () => {
  it("tells what the server said", () => {
    expect(messageOf(new ApiError("no such run", 404, "not_found", false))).toBe("no such run");
  });

  it("tells a lost connection in words", () => {
    expect(messageOf(new TypeError("Failed to fetch"))).toBe("The server could not be reached.");
  });

  it("tells any other error as it is", () => {
    expect(messageOf(new Error("broken"))).toBe("broken");
    expect(messageOf("broken")).toBe("broken");
  });
});
