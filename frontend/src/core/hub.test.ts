import { describe, expect, it } from "vitest";
import { frame, LiveStream, numbered, refusal, until, type WireEvent } from "../testing/wire";
import { seqOfId } from "./events";
import { Hub, type HubOptions, type Reader } from "./hub";
import { ApiError } from "./problem";
import type { StreamEnd } from "./stream";

/** Frames of a stream of many runs: the id names the run. */
const manyFrame = (event: WireEvent) =>
  frame(event).replace(/\nid: .*\n/, `\nid: ${String(event.run_id)}/${event.seq}\n`);

class Feed {
  readonly opened: Record<string, number>[] = [];
  readonly streams: LiveStream[] = [];
  heads: Record<string, number> = {};
  answer: (nth: number) => Response | null = () => null;

  hub(options: Partial<HubOptions> = {}): Hub {
    return new Hub({
      open: async (places, signal) => {
        this.opened.push(Object.fromEntries(places));
        const own = this.answer(this.opened.length - 1);
        if (own !== null) return own;
        const stream = new LiveStream(signal);
        this.streams.push(stream);
        return stream.response;
      },
      head: async (runId) => {
        const head = this.heads[runId];
        if (head === undefined) throw new ApiError("there is no such run", 404, "not_found", false);
        return head;
      },
      gatherMs: 0,
      lingerMs: 5,
      sleep: async () => undefined,
      ...options,
    });
  }

  stream(nth: number): Promise<LiveStream> {
    return until(() => this.streams[nth]);
  }
}

class Watcher implements Reader {
  seqs: number[] = [];
  rewinds = 0;
  ends: StreamEnd[] = [];
  phases: string[] = [];
  onFrames: Reader["onFrames"] = (frames) => {
    for (const { id } of frames) this.seqs.push(seqOfId(id) ?? -1);
  };
  onConnection: Reader["onConnection"] = ({ phase }) => void this.phases.push(phase);
  onRewind = () => {
    this.rewinds += 1;
    this.seqs = [];
  };
  onEnd: Reader["onEnd"] = (end) => void this.ends.push(end);
}

const LIFE: WireEvent[] = [
  { type: "run_started" },
  { type: "step_started", step: 1 },
  { type: "run_completed", response: "x" },
];
/** `LiveStream` writes frames of one run; this one writes those of many. */
function push(stream: LiveStream, ...events: WireEvent[]): void {
  for (const event of events) (stream as unknown as { write(text: string): void }).write(manyFrame(event));
}

describe("Hub", () => {
  it("opens one stream for all readers of all runs", async () => {
    const feed = new Feed();
    const hub = feed.hub();
    const [a, b, c] = [new Watcher(), new Watcher(), new Watcher()];
    hub.follow("r1", 0, a);
    hub.follow("r1", 0, b);
    hub.follow("r2", 4, c);
    const stream = await feed.stream(0);
    push(stream, ...numbered(LIFE.slice(0, 2)), ...numbered(LIFE.slice(0, 1), 5, "r2"));
    await until(() => c.seqs.length === 1);
    expect(feed.opened).toEqual([{ r1: 0, r2: 4 }]);
    expect([a.seqs, b.seqs, c.seqs]).toEqual([[1, 2], [1, 2], [5]]);
    expect(a.phases.at(-1)).toBe("live");
  });

  it("gives a late reader everything, and nobody anything twice", async () => {
    const feed = new Feed();
    const hub = feed.hub();
    const [early, late] = [new Watcher(), new Watcher()];
    hub.follow("r1", 0, early);
    push(await feed.stream(0), ...numbered(LIFE.slice(0, 2)));
    await until(() => early.seqs.length === 2);
    hub.follow("r1", 0, late);
    const second = await feed.stream(1);
    push(second, ...numbered(LIFE));
    await until(() => late.seqs.length === 3 && early.seqs.length === 3);
    expect(feed.opened).toEqual([{ r1: 0 }, { r1: 0 }]);
    expect([early.seqs, late.seqs]).toEqual([
      [1, 2, 3],
      [1, 2, 3],
    ]);
  });

  it("leaves no gap for a late reader while the run goes on", async () => {
    const feed = new Feed();
    const hub = feed.hub({ gatherMs: 30 });
    const [early, late] = [new Watcher(), new Watcher()];
    hub.follow("r1", 0, early);
    const first = await feed.stream(0);
    push(first, ...numbered(LIFE.slice(0, 1)));
    await until(() => early.seqs.length === 1);
    hub.follow("r1", 0, late);
    push(first, ...numbered(LIFE.slice(1, 2), 2));
    await until(() => early.seqs.length === 2);
    push(await feed.stream(1), ...numbered(LIFE));
    await until(() => late.seqs.length === 3);
    expect(late.seqs).toEqual([1, 2, 3]);
  });

  it("joins a reader that the open stream serves already without a new one", async () => {
    const feed = new Feed();
    const hub = feed.hub();
    const [a, b] = [new Watcher(), new Watcher()];
    hub.follow("r1", 0, a);
    const stream = await feed.stream(0);
    hub.follow("r1", 1, b);
    push(stream, ...numbered(LIFE.slice(0, 2)));
    await until(() => b.seqs.length === 1);
    expect([feed.opened.length, b.seqs]).toEqual([1, [2]]);
  });

  it("goes on from every reader's place when the connection breaks", async () => {
    const feed = new Feed();
    const hub = feed.hub();
    const [a, b] = [new Watcher(), new Watcher()];
    hub.follow("r1", 0, a);
    hub.follow("r2", 0, b);
    const first = await feed.stream(0);
    push(first, ...numbered(LIFE.slice(0, 2)), ...numbered(LIFE.slice(0, 1), 1, "r2"));
    await until(() => a.seqs.length === 2 && b.seqs.length === 1);
    first.cut();
    push(await feed.stream(1), ...numbered(LIFE.slice(2), 3));
    await until(() => a.seqs.length === 3);
    expect(feed.opened.at(-1)).toEqual({ r1: 2, r2: 1 });
    expect(a.phases).toContain("reconnecting");
  });

  it("ends a reader after the end of its run, but not before a new attempt", async () => {
    const feed = new Feed();
    const hub = feed.hub({ lingerMs: 40 });
    const reader = new Watcher();
    hub.follow("r1", 0, reader);
    const stream = await feed.stream(0);
    push(stream, ...numbered(LIFE), ...numbered([{ type: "run_restored", attempt: 2 }], 4));
    await until(() => reader.seqs.length === 4);
    await new Promise((done) => setTimeout(done, 80));
    expect(reader.ends).toEqual([]);
    push(stream, ...numbered(LIFE.slice(2), 5));
    await until(() => reader.ends.length === 1);
    expect(reader.ends).toEqual([{ kind: "ended" }]);
    expect(reader.seqs).toEqual([1, 2, 3, 4, 5]);
  });

  it("closes the stream with its last reader", async () => {
    const feed = new Feed();
    let signal: AbortSignal | null = null;
    const hub = feed.hub({
      open: async (_, given) => {
        signal = given;
        return new LiveStream(given).response;
      },
    });
    const leave = hub.follow("r1", 0, new Watcher());
    await until(() => signal);
    leave();
    expect((signal as AbortSignal | null)?.aborted).toBe(true);
  });

  it("lets go of the reader whose run is not there, and serves the others", async () => {
    const feed = new Feed();
    feed.heads = { r1: 3 };
    feed.answer = (nth) => (nth === 0 ? refusal(404, "there is no run 'gone'") : null);
    const hub = feed.hub();
    const [good, gone] = [new Watcher(), new Watcher()];
    hub.follow("r1", 0, good);
    hub.follow("gone", 0, gone);
    push(await feed.stream(0), ...numbered(LIFE));
    await until(() => good.seqs.length === 3);
    expect(gone.ends[0]).toMatchObject({ kind: "refused", error: { status: 404 } });
    expect(feed.opened).toEqual([{ r1: 0, gone: 0 }, { r1: 0 }]);
  });

  it("begins anew where the server does not know the place", async () => {
    const feed = new Feed();
    feed.heads = { r1: 2 };
    feed.answer = (nth) => (nth === 0 ? refusal(400, "event 9 does not exist") : null);
    const reader = new Watcher();
    feed.hub().follow("r1", 9, reader);
    push(await feed.stream(0), ...numbered(LIFE.slice(0, 2)));
    await until(() => reader.seqs.length === 2);
    expect([reader.rewinds, feed.opened.at(-1)]).toEqual([1, { r1: 0 }]);
  });

  it("hands a refusal that is nobody's fault to all", async () => {
    const feed = new Feed();
    feed.heads = { r1: 5, r2: 5 };
    feed.answer = () => refusal(403, "you may not look");
    const hub = feed.hub();
    const [a, b] = [new Watcher(), new Watcher()];
    hub.follow("r1", 0, a);
    hub.follow("r2", 0, b);
    await until(() => a.ends.length + b.ends.length === 2);
    expect(a.ends[0]).toMatchObject({ kind: "refused", error: { status: 403 } });
  });
});
