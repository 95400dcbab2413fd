import { afterEach, describe, expect, it } from "vitest";
import type { Announcement } from "../../core/announce";
import { AgioApi } from "../../core/api";
import type { RunState } from "../../core/run-state";
import type { Connection, StreamEnd } from "../../core/stream";
import { type Call, fakeServer, LiveStream, numbered, refusal, settle, until } from "../../testing/wire";
import { RunFollower } from "./run-follower";

const EVENTS = numbered([
  { type: "run_started", session_id: "s1" },
  { type: "content_delta", message_id: "m1", content: "Hel" },
  { type: "content_delta", message_id: "m1", content: "lo" },
  { type: "run_completed", response: "Hello" },
]);

const followers: RunFollower[] = [];

afterEach(() => {
  for (const follower of followers.splice(0)) follower.stop();
});

function watch(refuse: (call: Call, nth: number) => Response | null = () => null) {
  const streams: LiveStream[] = [];
  const { fetch, calls } = fakeServer((call, nth) => {
    const refused = refuse(call, nth);
    if (refused !== null) return refused;
    const stream = new LiveStream(call.signal);
    streams.push(stream);
    return stream.response;
  });
  const runs: RunState[] = [];
  const said: (Announcement | null)[] = [];
  const connections: Connection[] = [];
  const ends: StreamEnd[] = [];
  const follower = new RunFollower(
    new AgioApi(fetch),
    "r1",
    {
      onRun: (run, announcement) => {
        runs.push(run);
        said.push(announcement);
      },
      onConnection: (connection) => connections.push(connection),
      onEnd: (end) => ends.push(end),
    },
    { sleep: async () => undefined },
  );
  followers.push(follower);
  const stream = (nth: number) => until(() => streams[nth]);
  return { follower, calls, stream, runs, said, connections, ends };
}

describe("RunFollower", () => {
  it("keeps the state up to date until the run ends", async () => {
    const { follower, stream, runs, ends } = watch();
    follower.follow();
    const live = await stream(0);
    live.push(...EVENTS.slice(0, 2));
    await until(() => runs.at(-1)?.lastSeq === 2);
    expect(follower.state.items).toMatchObject([{ text: "Hel" }]);
    live.push(...EVENTS.slice(2));
    live.end();
    await until(() => ends.length === 1);
    expect(ends).toEqual([{ kind: "ended" }]);
    expect(follower.state).toMatchObject({ status: "completed", lastSeq: 4 });
  });

  it("has shown everything before it says that the run has ended", async () => {
    const { follower, stream, runs, ends } = watch();
    follower.follow();
    const live = await stream(0);
    live.push(...EVENTS);
    live.end();
    await until(() => ends.length === 1);
    expect(runs.at(-1)?.lastSeq).toBe(4);
  });

  it("goes on behind what it has after a cut", async () => {
    const { follower, stream, calls, ends, connections } = watch();
    follower.follow();
    const first = await stream(0);
    first.push(...EVENTS.slice(0, 2));
    await settle(3);
    first.cut();
    const second = await stream(1);
    expect(calls[1]?.headers.get("last-event-id")).toBe("2");
    second.push(...EVENTS.slice(1));
    second.end();
    await until(() => ends.length === 1);
    expect(follower.state.items).toMatchObject([{ text: "Hello" }]);
    expect(connections.map(({ phase }) => phase)).toEqual(["connecting", "live", "reconnecting", "live"]);
  });

  it("announces what is new, and not what is replayed", async () => {
    const { follower, stream, said, ends } = watch();
    follower.silenceThrough(3);
    follower.follow();
    const live = await stream(0);
    const story = numbered([
      { type: "run_started" },
      { type: "run_paused" },
      { type: "run_resumed" },
      { type: "run_completed" },
    ]);
    live.push(...story.slice(0, 3));
    await until(() => follower.state.lastSeq === 3);
    live.push(...story.slice(3));
    live.end();
    await until(() => ends.length === 1);
    expect(said.filter((one) => one !== null)).toEqual([{ said: { kind: "completed" }, urgent: false }]);
  });

  it("says nothing more once it is stopped", async () => {
    const { follower, stream, calls, runs, ends } = watch();
    follower.follow();
    const live = await stream(0);
    live.push(...EVENTS.slice(0, 2));
    follower.stop();
    await settle();
    expect(runs).toEqual([]);
    expect(ends).toEqual([]);
    expect(calls[0]?.signal?.aborted).toBe(true);
  });

  it("attaches again behind the end for another attempt", async () => {
    const { follower, stream, calls, ends } = watch();
    follower.follow();
    const first = await stream(0);
    first.push(...EVENTS);
    first.end();
    await until(() => ends.length === 1);
    follower.follow();
    const second = await stream(1);
    expect(calls[1]?.headers.get("last-event-id")).toBe("4");
    second.push(...numbered([{ type: "run_restored", attempt: 2 }, { type: "run_completed" }], 5));
    second.end();
    await until(() => ends.length === 2);
    expect(follower.state).toMatchObject({ attempt: 2, lastSeq: 6 });
  });

  it("begins anew, silently, when the server does not know its cursor", async () => {
    const { follower, stream, said, ends } = watch((_, nth) =>
      nth === 1 ? refusal(400, "event 2 does not exist") : null,
    );
    follower.follow();
    const first = await stream(0);
    first.push(...numbered([{ type: "run_started" }, { type: "run_paused" }]));
    await until(() => follower.state.lastSeq === 2);
    first.cut();
    const second = await stream(1);
    second.push(...numbered([{ type: "run_started" }, { type: "run_paused" }, { type: "run_cancelled" }]));
    second.end();
    await until(() => ends.length === 1);
    expect(follower.state).toMatchObject({ status: "cancelled", lastSeq: 3 });
    expect(said.map((one) => one?.said.kind).filter(Boolean)).toEqual(["paused", "cancelled"]);
  });
});
