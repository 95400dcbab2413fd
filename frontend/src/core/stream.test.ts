import { afterEach, describe, expect, it, vi } from "vitest";
import { frames, json, LiveStream, NO_CONTENT, numbered, refusal, streamed } from "../testing/wire";
import { ApiError } from "./problem";
import { type Connection, runStream, type StreamEnd, type StreamOptions } from "./stream";

const TERMINAL = "run_completed";

interface Heard {
  readonly end: StreamEnd;
  readonly names: string[];
  /** The cursor of every connect, in order. */
  readonly cursors: (string | null)[];
  readonly delays: number[];
  readonly connections: Connection[];
}

type Answer = (signal: AbortSignal, cursor: string | null) => Response | null | Promise<Response>;

/** Runs a stream over a list of answers, one per connect; null is a lost connection. */
async function hear(answers: readonly Answer[], options: Partial<StreamOptions> = {}): Promise<Heard> {
  const names: string[] = [];
  const cursors: (string | null)[] = [];
  const delays: number[] = [];
  const connections: Connection[] = [];
  const end = await runStream({
    connect: async (cursor, signal) => {
      cursors.push(cursor);
      const answer = answers[cursors.length - 1];
      if (answer === undefined) throw new ApiError("no more answers", 404, "script_ended", false);
      const response = await answer(signal, cursor);
      if (response === null) throw new TypeError("fetch failed");
      return response;
    },
    onFrame: ({ event }) => names.push(event),
    isTerminal: ({ event }) => event === TERMINAL,
    onConnection: (connection) => connections.push(connection),
    signal: new AbortController().signal,
    sleep: async (ms) => {
      delays.push(ms);
    },
    random: () => 0.999999,
    ...options,
  });
  return { end, names, cursors, delays, connections };
}

const EVENTS = numbered([
  { type: "run_started" },
  { type: "content_delta", content: "Hi" },
  { type: TERMINAL },
]);
const text = (from: number, to: number) => frames(EVENTS.slice(from - 1, to));

describe("a stream that ends", () => {
  it("ends with a terminal frame and the server's close", async () => {
    const heard = await hear([() => streamed([text(1, 3)])]);
    expect(heard.end).toEqual({ kind: "ended" });
    expect(heard.names).toEqual(["run_started", "content_delta", TERMINAL]);
    expect(heard.delays).toEqual([]);
  });

  it("ends with a terminal frame even if the connection then breaks", async () => {
    const heard = await hear([() => streamed([text(1, 3)], { after: "break" })]);
    expect(heard.end).toEqual({ kind: "ended" });
  });

  it("does not wait for a server that leaves the connection open behind a terminal frame", async () => {
    const heard = await hear([(signal) => streamed([text(1, 3)], { after: "hold", signal })], {
      lingerMs: 5,
    });
    expect(heard.end).toEqual({ kind: "ended" });
  });

  it("goes on behind a terminal frame when a new attempt follows", async () => {
    const attempts = numbered([
      { type: "run_started" },
      { type: TERMINAL },
      { type: "run_restored" },
      { type: "content_delta", content: "Hi" },
      { type: TERMINAL },
    ]);
    const heard = await hear([
      () => streamed([frames(attempts.slice(0, 3))]),
      () => streamed([frames(attempts.slice(3))]),
    ]);
    expect(heard.end).toEqual({ kind: "ended" });
    expect(heard.cursors).toEqual([null, "3"]);
    expect(heard.names).toEqual(attempts.map(({ type }) => type));
  });

  it("is caught up at 204", async () => {
    const heard = await hear([NO_CONTENT], { lastEventId: "3" });
    expect(heard.end).toEqual({ kind: "caught-up" });
    expect(heard.cursors).toEqual(["3"]);
  });
});

describe("a stream that is cut", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("goes on behind the last whole frame after a clean end without a terminal frame", async () => {
    const heard = await hear([() => streamed([text(1, 2)]), () => streamed([text(3, 3)])]);
    expect(heard.end).toEqual({ kind: "ended" });
    expect(heard.cursors).toEqual([null, "2"]);
  });

  it("loses and doubles nothing wherever it is cut", async () => {
    const whole = text(1, 3);
    for (let cut = 0; cut < whole.length; cut += 1) {
      const heard = await hear([
        () => streamed([whole.slice(0, cut)], { after: "break" }),
        (_, cursor) => streamed([text(Number(cursor ?? 0) + 1, 3)]),
      ]);
      expect(heard.names, `cut at ${cut}`).toEqual(["run_started", "content_delta", TERMINAL]);
      expect(heard.end).toEqual({ kind: "ended" });
    }
  });

  it("goes on after a lost connection", async () => {
    const heard = await hear([() => null, () => null, () => streamed([text(1, 3)])]);
    expect(heard.end).toEqual({ kind: "ended" });
    expect(heard.delays).toEqual([1_000, 2_000]);
  });

  it("starts its delays anew once a frame has come", async () => {
    const heard = await hear([
      () => null,
      () => null,
      () => streamed([text(1, 1)]),
      () => streamed([text(2, 3)]),
    ]);
    expect(heard.delays).toEqual([1_000, 2_000, 1_000]);
  });

  it("waits as long as the server's retry line says", async () => {
    const heard = await hear([() => streamed(["retry: 3000\n\n", text(1, 1)]), () => streamed([text(2, 3)])]);
    expect(heard.delays).toEqual([3_000]);
  });

  it("says whether it connects, is live or reconnects", async () => {
    const heard = await hear([() => streamed([text(1, 1)]), () => null, () => streamed([text(2, 3)])]);
    expect(heard.connections).toEqual([
      { phase: "connecting" },
      { phase: "live" },
      { phase: "reconnecting", failures: 1, delayMs: 1_000 },
      { phase: "reconnecting", failures: 2, delayMs: 2_000 },
      { phase: "live" },
    ]);
  });

  it("takes a silent connection for a dead one", async () => {
    const heard = await hear(
      [(signal) => streamed([text(1, 1)], { after: "hold", signal }), () => streamed([text(2, 3)])],
      { stallMs: 60 },
    );
    expect(heard.end).toEqual({ kind: "ended" });
    expect(heard.cursors).toEqual([null, "1"]);
  });

  it("takes a server that never answers for a dead one", async () => {
    const never: Answer = (signal) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(new TypeError("aborted"))));
    const heard = await hear([never, () => streamed([text(1, 3)])], { stallMs: 60 });
    expect(heard.end).toEqual({ kind: "ended" });
  });

  it("keeps waiting while keep-alives come", async () => {
    vi.useFakeTimers();
    const stream = { live: null as LiveStream | null };
    const hearing = hear(
      [
        (signal) => {
          stream.live = new LiveStream(signal);
          return stream.live.response;
        },
      ],
      { stallMs: 50 },
    );
    for (let ms = 0; ms < 400; ms += 40) {
      stream.live?.comment("keep-alive");
      await vi.advanceTimersByTimeAsync(40);
    }
    stream.live?.push(...EVENTS);
    stream.live?.end();
    const heard = await hearing;
    expect(heard.cursors).toEqual([null]);
    expect(heard.end).toEqual({ kind: "ended" });
  });
});

describe("a stream that is refused", () => {
  it("ends with what the server said", async () => {
    const { end } = await hear([() => refusal(404, "there is no run 'r1'")]);
    expect(end).toMatchObject({ kind: "refused", error: { status: 404, message: "there is no run 'r1'" } });
  });

  it("ends when the answer is no event stream", async () => {
    const { end } = await hear([() => json({ status: "paused" })]);
    expect(end).toMatchObject({ kind: "refused", error: { code: "not_a_stream" } });
  });

  it("waits out an overloaded server as long as it asks for", async () => {
    const busy = json({ detail: "too many" }, 429, { "retry-after": "4" });
    const heard = await hear([() => busy, () => streamed([text(1, 3)])]);
    expect(heard.end).toEqual({ kind: "ended" });
    expect(heard.delays).toEqual([4_000]);
  });

  it("tries again while the store is away", async () => {
    const heard = await hear([
      () => refusal(503, "store away", { retryable: true }),
      () => streamed([text(1, 3)]),
    ]);
    expect(heard.delays).toEqual([1_000]);
  });
});

describe("a stream that nobody wants any more", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("ends while it is live, and closes its connection", async () => {
    const stopping = new AbortController();
    let request: AbortSignal | undefined;
    const hearing = hear(
      [
        (signal) => {
          request = signal;
          return streamed([text(1, 1)], { after: "hold", signal });
        },
      ],
      { signal: stopping.signal },
    );
    setTimeout(() => stopping.abort(), 5);
    expect((await hearing).end).toEqual({ kind: "aborted" });
    expect(request?.aborted).toBe(true);
  });

  it("ends while it waits to reconnect", async () => {
    const stopping = new AbortController();
    const hearing = hear([() => null], {
      signal: stopping.signal,
      sleep: async () => stopping.abort(),
    });
    expect((await hearing).end).toEqual({ kind: "aborted" });
  });

  it("does not begin when it is stopped already", async () => {
    const heard = await hear([], { signal: AbortSignal.abort() });
    expect(heard.end).toEqual({ kind: "aborted" });
    expect(heard.cursors).toEqual([]);
  });

  it("leaves no timer behind", async () => {
    vi.useFakeTimers();
    await hear([() => streamed([text(1, 3)])]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
