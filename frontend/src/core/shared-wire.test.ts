import { describe, expect, it } from "vitest";
import { frame, LiveStream, numbered, refusal, until } from "../testing/wire";
import type { HubOptions } from "./hub";
import { ApiError } from "./problem";
import { type Ask, HubHost, type Port, RemoteStreams, type Tell } from "./shared-wire";
import type { SseFrame } from "./sse";
import type { StreamEnd } from "./stream";

/** Two ends of a channel that copies what goes through it, as a browser's does. */
function channel(): { tab: Port<Ask, Tell>; worker: Port<Tell, Ask> } {
  let toTab: (tell: Tell) => void = () => undefined;
  let toWorker: (ask: Ask) => void = () => undefined;
  return {
    tab: {
      post: (ask) => toWorker(structuredClone(ask)),
      listen: (handler) => {
        toTab = handler;
      },
    },
    worker: {
      post: (tell) => toTab(structuredClone(tell)),
      listen: (handler) => {
        toWorker = handler;
      },
    },
  };
}

class World {
  readonly streams: LiveStream[] = [];
  readonly keys: (string | null)[] = [];
  readonly signals: AbortSignal[] = [];
  answer: () => Response | null = () => null;
  readonly host = new HubHost((key): HubOptions => {
    this.keys.push(key);
    return {
      gatherMs: 0,
      lingerMs: 0,
      head: async () => {
        throw new ApiError("there is no such run", 404, "not_found", false);
      },
      open: async (_, signal) => {
        this.signals.push(signal);
        const own = this.answer();
        if (own !== null) return own;
        const stream = new LiveStream(signal);
        this.streams.push(stream);
        return stream.response;
      },
    };
  });

  tab(key: string | null = null): RemoteStreams {
    const { tab, worker } = channel();
    this.host.attach(worker);
    return new RemoteStreams(tab, () => key);
  }
}

function reader() {
  const seen = { frames: [] as SseFrame[], ends: [] as StreamEnd[], phases: [] as string[], rewinds: 0 };
  return {
    seen,
    onFrames: (frames: readonly SseFrame[]) => void seen.frames.push(...frames),
    onConnection: ({ phase }: { phase: string }) => void seen.phases.push(phase),
    onRewind: () => {
      seen.rewinds += 1;
    },
    onEnd: (end: StreamEnd) => void seen.ends.push(end),
  };
}

const push = (stream: LiveStream, type: string, seq: number) => {
  const [event] = numbered([{ type }], seq);
  const text = event === undefined ? "" : frame(event).replace(/\nid: /, "\nid: r1/");
  (stream as unknown as { write(text: string): void }).write(text);
};

describe("a shared stream", () => {
  it("serves several tabs from one connection", async () => {
    const world = new World();
    const [one, two] = [reader(), reader()];
    world.tab().follow("r1", 0, one);
    world.tab().follow("r1", 0, two);
    const stream = await until(() => world.streams[0]);
    push(stream, "run_started", 1);
    await until(() => one.seen.frames.length === 1 && two.seen.frames.length === 1);
    expect(world.streams).toHaveLength(1);
    expect(one.seen.phases).toContain("live");
    push(stream, "run_cancelled", 2);
    await until(() => one.seen.ends.length === 1 && two.seen.ends.length === 1);
    expect(one.seen.ends).toEqual([{ kind: "ended" }]);
  });

  it("keeps what different callers may see apart", async () => {
    const world = new World();
    world.tab("k1").follow("r1", 0, reader());
    world.tab("k2").follow("r1", 0, reader());
    await until(() => world.streams.length === 2);
    expect(world.keys).toEqual(["k1", "k2"]);
  });

  it("hands a refusal over as the error that it is", async () => {
    const world = new World();
    world.answer = () => refusal(404, "there is no run");
    const one = reader();
    world.tab().follow("r1", 0, one);
    await until(() => one.seen.ends.length === 1);
    const [end] = one.seen.ends;
    expect(end?.kind === "refused" && end.error).toBeInstanceOf(ApiError);
    expect(end).toMatchObject({ error: { status: 404, code: "not_found" } });
  });

  it("closes the connection when the last tab leaves, by a call or by going away", async () => {
    for (const goes of ["leave", "bye"] as const) {
      const world = new World();
      const tab = world.tab();
      const leave = tab.follow("r1", 0, reader());
      const signal = await until(() => world.signals[0]);
      if (goes === "leave") leave();
      else tab.close();
      expect(signal.aborted).toBe(true);
    }
  });

  it("tells nothing to a reader that has left", async () => {
    const world = new World();
    const tab = world.tab();
    const [gone, stays] = [reader(), reader()];
    const leave = tab.follow("r1", 0, gone);
    tab.follow("r1", 0, stays);
    const stream = await until(() => world.streams[0]);
    leave();
    push(stream, "run_started", 1);
    await until(() => stays.seen.frames.length === 1);
    expect(gone.seen.frames).toEqual([]);
  });
});
