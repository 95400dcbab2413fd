import { describe, expect, it } from "vitest";
import { fakeServer, json, NO_CONTENT, refusal } from "../testing/wire";
import { Client, urlOf } from "./client";

describe("urlOf", () => {
  it("fills in names, encoded", () => {
    expect(urlOf("/api/runs/{run_id}/pause", { path: { run_id: "a/b c" } })).toBe(
      "/api/runs/a%2Fb%20c/pause",
    );
  });

  it("leaves out what is not there, and repeats lists", () => {
    const query = { q: "", agent_id: undefined, tag: null, limit: 20, status: ["running", "paused"] };
    expect(urlOf("/api/runs", { query })).toBe("/api/runs?limit=20&status=running&status=paused");
  });
});

describe("Client", () => {
  it("gets with path and query, and no body", async () => {
    const server = fakeServer(() => json({ items: [], total: 0 }));
    const page = await new Client(server.fetch).get("/api/runs", { query: { q: "why?" } });
    expect(page.total).toBe(0);
    expect(server.calls[0]).toMatchObject({ method: "GET", path: "/api/runs?q=why%3F", body: undefined });
  });

  it("posts JSON under a new idempotency key each time", async () => {
    const server = fakeServer(() => json({}));
    const client = new Client(server.fetch);
    await client.post("/api/runs/{run_id}/pause", { path: { run_id: "r1" }, body: { mode: "now" } });
    await client.post("/api/runs/{run_id}/pause", { path: { run_id: "r1" }, body: { mode: "now" } });
    const keys = server.calls.map(({ headers }) => headers.get("idempotency-key"));
    expect(server.calls[0]?.body).toEqual({ mode: "now" });
    expect(new Set(keys).size).toBe(2);
    expect(keys).not.toContain(null);
  });

  it("deletes and patches", async () => {
    const server = fakeServer(({ method }) => (method === "DELETE" ? NO_CONTENT() : json({ id: "t1" })));
    const client = new Client(server.fetch);
    await client.delete("/api/tools/{tool_id}", { path: { tool_id: "t1" } });
    await client.patch("/api/tools/{tool_id}", { path: { tool_id: "t1" }, body: { enabled: false } });
    expect(server.calls.map(({ method }) => method)).toEqual(["DELETE", "PATCH"]);
    expect(server.calls[1]?.headers.has("idempotency-key")).toBe(false);
  });

  it("throws the server's refusal", async () => {
    const server = fakeServer(() => refusal(409, "it ended"));
    const call = new Client(server.fetch).post("/api/runs/{run_id}/pause", { path: { run_id: "r1" } });
    await expect(call).rejects.toMatchObject({ status: 409, message: "it ended" });
  });

  it("throws where the answer is not JSON", async () => {
    const server = fakeServer(() => new Response("<html>"));
    await expect(new Client(server.fetch).get("/api/info", {})).rejects.toMatchObject({ code: "bad_view" });
  });
});
