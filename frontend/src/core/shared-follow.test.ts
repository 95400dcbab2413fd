import { describe, expect, it } from "vitest";
import { type Call, fakeServer, json, numbered, refusal } from "../testing/wire";
import { AgioApi } from "./api";
import type { RunEvent } from "./events";
import type { FollowOptions } from "./follow";
import type { Reader } from "./hub";
import { sharedFollow } from "./shared-follow";

const START = { agent_id: "assistant", message: "Hi", run_id: "r1" };
const FRAMES = numbered([{ type: "run_started" }, { type: "run_teleported" }, { type: "run_completed" }]).map(
  (event) => ({ event: event.type, data: JSON.stringify(event), id: `r1/${event.seq}` }),
);

function follow(answer: (call: Call, nth: number) => Response | null, options: Partial<FollowOptions> = {}) {
  const server = fakeServer(answer);
  const readers: { runId: string; after: number; reader: Reader }[] = [];
  const seen = { events: [] as RunEvent[], phases: [] as string[], left: 0, rewinds: 0 };
  const stopping = new AbortController();
  const end = sharedFollow({
    follow: (runId, after, reader) => {
      readers.push({ runId, after, reader });
      return () => {
        seen.left += 1;
      };
    },
  })({
    api: new AgioApi(server.fetch),
    runId: "r1",
    signal: stopping.signal,
    onEvent: (event) => void seen.events.push(event),
    onRewind: () => {
      seen.rewinds += 1;
    },
    onConnection: ({ phase }) => void seen.phases.push(phase),
    sleep: async () => undefined,
    ...options,
  });
  return { server, readers, seen, stopping, end };
}

const reading = async (readers: readonly { reader: Reader }[]): Promise<Reader> => {
  for (;;) {
    const [first] = readers;
    if (first !== undefined) return first.reader;
    await new Promise((done) => setTimeout(done, 1));
  }
};

describe("sharedFollow", () => {
  it("reads a run that exists without asking for a start", async () => {
    const { server, readers, seen, end } = follow(() => null, { after: 7 });
    const reader = await reading(readers);
    reader.onConnection({ phase: "live" });
    reader.onFrames(FRAMES);
    reader.onRewind();
    reader.onEnd({ kind: "ended" });
    expect(await end).toEqual({ kind: "ended" });
    expect(server.calls).toEqual([]);
    expect(readers[0]).toMatchObject({ runId: "r1", after: 7 });
    expect(seen.events.map(({ seq }) => seq)).toEqual([1, 3]);
    expect([seen.phases, seen.rewinds]).toEqual([["live"], 1]);
  });

  it("starts a run first, under one key however often it must ask", async () => {
    const { server, readers, seen, end } = follow((_, nth) => (nth < 2 ? null : json({ id: "r1" }, 202)), {
      start: START,
    });
    (await reading(readers)).onEnd({ kind: "ended" });
    await end;
    const keys = new Set(server.to("/api/runs").map(({ headers }) => headers.get("idempotency-key")));
    expect([server.to("/api/runs").length, keys.size]).toEqual([3, 1]);
    expect(server.calls[0]?.body).toEqual(START);
    expect(seen.phases).toEqual(["connecting", "reconnecting", "reconnecting"]);
  });

  it("asks again when the server says later", async () => {
    const waits: number[] = [];
    const { readers, end } = follow(
      (_, nth) =>
        nth === 0
          ? json({ type: "busy", retryable: true, detail: "x" }, 503, { "retry-after": "9" })
          : json({ id: "r1" }, 202),
      { start: START, sleep: async (ms) => void waits.push(ms) },
    );
    (await reading(readers)).onEnd({ kind: "ended" });
    await end;
    expect(waits[0]).toBeGreaterThanOrEqual(9_000);
  });

  it("gives up when the server refuses, and reads nothing", async () => {
    const { readers, end } = follow(() => refusal(404, "there is no agent"), { start: START });
    expect(await end).toMatchObject({ kind: "refused", error: { status: 404 } });
    expect(readers).toEqual([]);
  });

  it("leaves when it is told to", async () => {
    const { readers, seen, stopping, end } = follow(() => null);
    await reading(readers);
    stopping.abort();
    expect(await end).toEqual({ kind: "aborted" });
    expect(seen.left).toBe(1);
  });

  it("does nothing for a signal that was given already", async () => {
    const stopped = AbortSignal.abort();
    const { server, readers, end } = follow(() => json({}, 202), { signal: stopped, start: START });
    expect(await end).toEqual({ kind: "aborted" });
    expect([server.calls.length, readers.length]).toEqual([0, 0]);
  });
});
