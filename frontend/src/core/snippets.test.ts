import { describe, expect, it } from "vitest";
import { asCli, asCurl, asPython, pythonOf } from "./snippets";

const ORIGIN = "http://localhost:8000";
const PAUSE = { method: "POST", path: "/api/runs/r1/pause", body: { reason: "it's late" } } as const;

describe("asCurl", () => {
  it("quotes the body for a shell and never holds a key", () => {
    expect(asCurl(PAUSE, ORIGIN)).toBe(
      [
        "curl -X POST 'http://localhost:8000/api/runs/r1/pause' \\",
        `  -H "X-API-Key: $AGIO_API_KEY" \\`,
        "  -H 'Content-Type: application/json' \\",
        `  -d '{"reason":"it'\\''s late"}'`,
      ].join("\n"),
    );
  });

  it("sends no body with a GET", () => {
    expect(asCurl({ method: "GET", path: "/api/runs" }, ORIGIN)).not.toContain("-d");
  });
});

describe("asPython", () => {
  it("writes a call that runs", () => {
    const text = asPython(PAUSE, ORIGIN);
    expect(text).toContain('    "POST",\n    "http://localhost:8000/api/runs/r1/pause",');
    expect(text).toContain(`    json={"reason": "it's late"},`);
    expect(asPython({ method: "GET", path: "/x" }, ORIGIN)).not.toContain("json={");
  });

  it("writes JSON as Python does", () => {
    const value = { a: null, b: true, c: [1, "x", false], d: { e: 1.5 }, f: undefined };
    expect(pythonOf(value)).toBe('{"a": None, "b": True, "c": [1, "x", False], "d": {"e": 1.5}, "f": None}');
  });
});

describe("asCli", () => {
  it("is one call of the program, quoted for a shell", () => {
    expect(asCli(PAUSE, ORIGIN)).toBe(
      [
        "agio call POST '/api/runs/r1/pause' \\",
        "  --url 'http://localhost:8000' \\",
        `  --json '{"reason":"it'\\''s late"}'`,
      ].join("\n"),
    );
    expect(asCli({ method: "GET", path: "/api/runs" }, ORIGIN)).not.toContain("--json");
  });
});

describe("secrets", () => {
  it("stay out of whatever is copied, at any depth", () => {
    const body = {
      name: "ann",
      password: "hunter2",
      auth: {
        headers: [{ Authorization: "Bearer hunter2" }],
        client_secret: "hunter2",
        OPENAI_API_KEY: "hunter2",
      },
      max_tokens: 100,
    };
    const call = { method: "POST", path: "/api/users", body } as const;
    for (const write of [asCurl, asPython, asCli]) {
      const text = write(call, ORIGIN);
      expect(text).not.toContain("hunter2");
      expect(text).toContain('"password"');
      expect(text).toContain("100");
    }
    expect(body.password).toBe("hunter2");
  });
});
