import { describe, expect, it } from "vitest";
import { type Call, fakeServer, frames, NO_CONTENT, numbered, refusal, streamed } from "../testing/wire";
import { AgioApi } from "./api";
import type { RunEvent } from "./events";
import { type FollowOptions, followRun } from "./follow";

const EVENTS = numbered([
  { type: "run_started" },
  { type: "content_delta", message_id: "m1", content: "Hel" },
  { type: "run_teleported" },
  { type: "content_delta", message_id: "m1", content: "lo" },
  { type: "run_completed", response: "Hello", metrics: {} },
]);
const START = { agent_id: "assistant", message: "Hi", run_id: "r1" };

async function follow(
  answer: (call: Call, nth: number) => Response | null,
  options: Partial<FollowOptions> = {},
) {
  const { fetch, calls } = fakeServer(answer);
  const events: RunEvent[] = [];
  let rewinds = 0;
  const end = await followRun({
    api: new AgioApi(fetch),
    runId: "r1",
    signal: new AbortController().signal,
    onEvent: (event) => events.push(event),
    onRewind: () => {
      rewinds += 1;
      events.length = 0;
    },
    sleep: async () => undefined,
    ...options,
  });
  return { end, calls, seqs: events.map(({ seq }) => seq), rewinds };
}

const part = (from: number, to = EVENTS.length) => streamed([frames(EVENTS.slice(from - 1, to))]);

describe("attaching to a run", () => {
  it("replays it from its first event and ends with its end", async () => {
    const { end, calls, seqs } = await follow(() => part(1));
    expect(end).toEqual({ kind: "ended" });
    expect(calls.map(({ method, path }) => `${method} ${path}`)).toEqual(["GET /api/runs/r1/events"]);
    expect(calls[0]?.headers.has("last-event-id")).toBe(false);
    expect(seqs).toEqual([1, 2, 4, 5]);
  });

  it("goes on behind what is known", async () => {
    const { calls, seqs } = await follow(() => part(3), { after: 2 });
    expect(calls[0]?.headers.get("last-event-id")).toBe("2");
    expect(seqs).toEqual([4, 5]);
  });

  it("has nothing to do for an ended run that is known whole", async () => {
    const { end } = await follow(NO_CONTENT, { after: 5 });
    expect(end).toEqual({ kind: "caught-up" });
  });

  it("counts an event that it does not know as seen", async () => {
    const { calls, seqs } = await follow((_, nth) => (nth === 0 ? part(1, 3) : part(4)));
    expect(calls[1]?.headers.get("last-event-id")).toBe("3");
    expect(seqs).toEqual([1, 2, 4, 5]);
  });

  it("says so when there is no such run", async () => {
    const { end } = await follow(() => refusal(404, "there is no run 'r1'"));
    expect(end).toMatchObject({ kind: "refused", error: { status: 404 } });
  });

  it("reads everything again when the server does not know its cursor", async () => {
    const { end, calls, seqs, rewinds } = await follow(
      (_, nth) => (nth === 0 ? refusal(400, "event 9 does not exist") : part(1)),
      { after: 9 },
    );
    expect(end).toEqual({ kind: "ended" });
    expect(rewinds).toBe(1);
    expect(calls[1]?.headers.has("last-event-id")).toBe(false);
    expect(seqs).toEqual([1, 2, 4, 5]);
  });
});

describe("starting a run", () => {
  it("posts the message and reads the answer's stream", async () => {
    const { end, calls, seqs } = await follow(() => part(1), { start: START });
    expect(end).toEqual({ kind: "ended" });
    expect(calls).toHaveLength(1);
    expect(calls[0]).toMatchObject({ method: "POST", path: "/api/chat", body: { ...START, stream: true } });
    expect(seqs).toEqual([1, 2, 4, 5]);
  });

  it("re-attaches by the run's id when the answer is cut", async () => {
    const { calls, seqs } = await follow((_, nth) => (nth === 0 ? part(1, 2) : part(3)), { start: START });
    expect(calls.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "POST /api/chat",
      "GET /api/runs/r1/events",
    ]);
    expect(calls[1]?.headers.get("last-event-id")).toBe("2");
    expect(seqs).toEqual([1, 2, 4, 5]);
  });

  it("re-attaches from the first event when the answer is cut before it", async () => {
    const { calls, seqs } = await follow((_, nth) => (nth === 0 ? streamed(["retry: 1000\n\n"]) : part(1)), {
      start: START,
    });
    expect(calls[1]?.path).toBe("/api/runs/r1/events");
    expect(calls[1]?.headers.has("last-event-id")).toBe(false);
    expect(seqs).toEqual([1, 2, 4, 5]);
  });

  it("posts again under the same key until the server has accepted it", async () => {
    const answers = [() => null, () => refusal(503, "store away", { retryable: true }), () => part(1)];
    const { end, calls } = await follow((_, nth) => answers[nth]?.() ?? null, { start: START });
    expect(end).toEqual({ kind: "ended" });
    expect(calls.map(({ method }) => method)).toEqual(["POST", "POST", "POST"]);
    expect(new Set(calls.map(({ headers }) => headers.get("idempotency-key"))).size).toBe(1);
  });

  it("gives up when the server refuses it", async () => {
    const { end, calls } = await follow(() => refusal(404, "there is no agent 'x'"), { start: START });
    expect(end).toMatchObject({ kind: "refused", error: { message: "there is no agent 'x'" } });
    expect(calls).toHaveLength(1);
  });

  it("does not take a refused message for a refused cursor", async () => {
    const { end, rewinds } = await follow(() => refusal(400, "not JSON"), { start: START });
    expect(end).toMatchObject({ kind: "refused", error: { status: 400 } });
    expect(rewinds).toBe(0);
  });

  it("uses another key for another run", async () => {
    const first = await follow(() => part(1), { start: START });
    const second = await follow(() => part(1), { start: START });
    const keyOf = ({ calls }: { calls: Call[] }) => calls[0]?.headers.get("idempotency-key");
    expect(keyOf(first)).not.toBe(keyOf(second));
  });
});
