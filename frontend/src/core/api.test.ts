import { describe, expect, it } from "vitest";
import { type Call, fakeServer, json, NO_CONTENT, pageOf, refusal } from "../testing/wire";
import { AgioApi } from "./api";
import { ApiError } from "./problem";

function api(answer: (call: Call, nth: number) => Response | null) {
  const server = fakeServer(answer);
  return { api: new AgioApi(server.fetch), calls: server.calls };
}

const lines = (calls: readonly Call[]) => calls.map(({ method, path }) => `${method} ${path}`);

describe("reading", () => {
  it("asks for what the page shows", async () => {
    const { api: agio, calls } = api(() => pageOf([]));
    await agio.agents();
    await agio.sessions();
    await agio.runsOfSession("s 1");
    await agio.checkpoints("r/1");
    expect(lines(calls)).toEqual([
      "GET /api/agents?limit=100",
      "GET /api/sessions?limit=50",
      "GET /api/runs?session_id=s+1&limit=50",
      "GET /api/runs/r%2F1/checkpoints?limit=100",
    ]);
  });

  it("keeps the fields that it knows", async () => {
    const { api: agio } = api(() =>
      json({ version: "0.1.0", provider_configured: false, features: { a: 1 } }),
    );
    expect(await agio.info()).toEqual({ version: "0.1.0", provider_configured: false });
  });

  it("sends no key and no body", async () => {
    const { api: agio, calls } = api(() => json({ id: "r1", status: "running" }));
    expect(await agio.run("r1")).toEqual({ id: "r1", status: "running" });
    expect(calls[0]?.body).toBeUndefined();
    expect(calls[0]?.headers.has("idempotency-key")).toBe(false);
    expect(calls[0]?.headers.has("content-type")).toBe(false);
  });

  it("reads a long conversation page by page", async () => {
    const { api: agio, calls } = api((_, nth) =>
      json({ items: [{ id: `m${nth}`, role: "user", content: "x" }], has_more: nth < 2 }),
    );
    expect((await agio.messages("r1")).map(({ id }) => id)).toEqual(["m0", "m1", "m2"]);
    expect(calls.at(-1)?.path).toBe("/api/runs/r1/messages?limit=100&offset=200");
  });

  it("reads the conversation on a branch", async () => {
    const { api: agio, calls } = api(() => pageOf([]));
    await agio.branchMessages("s1", "b1");
    expect(lines(calls)).toEqual(["GET /api/sessions/s1/messages?branch_id=b1&limit=100&offset=0"]);
  });

  it("reads the last checkpoints of a long run", async () => {
    const { api: agio, calls } = api((_, nth) =>
      json({ items: [{ id: `r1.${nth}` }], total: 1_234, has_more: nth === 0 }),
    );
    expect(await agio.checkpoints("r1")).toMatchObject({ items: [{ id: "r1.1" }], total: 1_234 });
    expect(calls[1]?.path).toBe("/api/runs/r1/checkpoints?limit=100&offset=1134");
  });

  it("does not turn pages for ever", async () => {
    const { api: agio, calls } = api(() => json({ items: [{ id: "m", role: "user" }], has_more: true }));
    await agio.messages("r1");
    expect(calls).toHaveLength(20);
  });

  it("throws what the server refuses with", async () => {
    const { api: agio } = api(() => refusal(404, "there is no run 'r1'"));
    const error: unknown = await agio.run("r1").catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 404, message: "there is no run 'r1'" });
  });

  it("throws when an answer is not understood", async () => {
    const { api: agio } = api(() => json({ name: "no id" }));
    await expect(agio.run("r1")).rejects.toMatchObject({ code: "bad_view" });
    const { api: broken } = api(() => new Response("<html>", { status: 200 }));
    await expect(broken.run("r1")).rejects.toMatchObject({ code: "bad_view" });
  });
});

describe("commands", () => {
  it("post to their paths, each under a key of its own", async () => {
    const { api: agio, calls } = api(() => json({ run_id: "r1", status: "running" }, 202));
    await agio.pause("r1");
    await agio.resume("r1");
    await agio.resume("r1", { retry_tools: ["c1"] });
    await agio.cancel("r1");
    await agio.retry("r1");
    await agio.decide("a1", { decision: "reject", note: "no" });
    expect(calls.map(({ method, path, body }) => [method, path, body])).toEqual([
      ["POST", "/api/runs/r1/pause", {}],
      ["POST", "/api/runs/r1/resume", {}],
      ["POST", "/api/runs/r1/resume", { retry_tools: ["c1"] }],
      ["POST", "/api/runs/r1/cancel", {}],
      ["POST", "/api/runs/r1/retry", {}],
      ["POST", "/api/approvals/a1", { decision: "reject", note: "no" }],
    ]);
    const keys = calls.map(({ headers }) => headers.get("idempotency-key"));
    expect(new Set(keys).size).toBe(6);
    expect(keys).not.toContain(null);
  });

  it("take an empty answer", async () => {
    const { api: agio } = api(NO_CONTENT);
    await expect(agio.pause("r1")).resolves.toBeUndefined();
  });

  it("restore into a new run", async () => {
    const { api: agio, calls } = api(() =>
      json({ run_id: "r2", new_run_id: "r2", parent_run_id: "r1" }, 201),
    );
    expect(await agio.restore("r1.4")).toMatchObject({ new_run_id: "r2" });
    expect(calls[0]).toMatchObject({ path: "/api/checkpoints/r1.4/restore", body: { create_new_run: true } });
  });

  it("fork with modifications", async () => {
    const { api: agio, calls } = api(() => json({ new_run_id: "r2" }, 201));
    await agio.fork("r1.4", { system_prompt: "Be brief.", max_steps: 3 });
    expect(calls[0]).toMatchObject({
      path: "/api/checkpoints/r1.4/fork",
      body: { modifications: { system_prompt: "Be brief.", max_steps: 3 } },
    });
  });
});

describe("streams", () => {
  const request = { agent_id: "assistant", message: "Hi", run_id: "r1" };
  const { signal } = new AbortController();

  it("are handed out as they come, refusals included", async () => {
    const { api: agio } = api(() => refusal(404, "no such agent"));
    expect((await agio.openChat(request, "k1", null, signal)).status).toBe(404);
  });

  it("of a chat carry the key, the chosen run id and the cursor", async () => {
    const { api: agio, calls } = api(NO_CONTENT);
    await agio.openChat(request, "k1", "7", signal);
    expect(calls[0]).toMatchObject({
      method: "POST",
      path: "/api/chat",
      body: { ...request, stream: true },
      signal,
    });
    expect(calls[0]?.headers.get("idempotency-key")).toBe("k1");
    expect(calls[0]?.headers.get("last-event-id")).toBe("7");
    expect(calls[0]?.headers.get("accept")).toBe("text/event-stream");
  });

  it("of a run carry the cursor only when there is one", async () => {
    const { api: agio, calls } = api(NO_CONTENT);
    await agio.openEvents("r1", null, signal);
    await agio.openEvents("r1", "7", signal);
    expect(calls.map(({ headers }) => headers.get("last-event-id"))).toEqual([null, "7"]);
    expect(calls[0]?.path).toBe("/api/runs/r1/events");
  });
});
