import { afterEach, describe, expect, it } from "vitest";
import { AgioApi } from "../../core/api";
import type { Selection } from "../../core/selection";
import { threadOf } from "../../core/thread";
import { FakeAgio, story } from "../../testing/agio";
import { json, numbered, refusal, settle, until } from "../../testing/wire";
import { isCancelling, shownRun } from "./chat-state";
import { ChatStore } from "./chat-store";

const stores: ChatStore[] = [];

afterEach(() => {
  for (const store of stores.splice(0)) void store.open({ sessionId: null, runId: null });
});

function setUp() {
  const agio = new FakeAgio();
  const urls: string[] = [];
  const onSelect = ({ sessionId, runId }: Selection, how: string) =>
    urls.push(`${how} ${sessionId} ${runId}`);
  const timing = { sleep: () => new Promise<void>((resolve) => setTimeout(resolve, 1)) };
  const store = new ChatStore(new AgioApi(agio.fetch), onSelect, timing);
  stores.push(store);
  const run = () => shownRun(store.snapshot());
  const lines = () => {
    const state = store.snapshot();
    return threadOf(state.history, state.run).map((item) =>
      item.kind === "message" ? `${item.role}: ${item.text}` : item.kind,
    );
  };
  /** Sends and lets the server accept it. */
  const begin = async (text = "Hi") => {
    const nth = agio.streams.length;
    store.send(text, "assistant");
    const live = await agio.stream(nth);
    const runId = store.snapshot().selection.runId ?? "";
    agio.addRun(runId, { status: "running", last_seq: 1 });
    return { live, runId };
  };
  return { agio, store, urls, run, lines, begin };
}

describe("sending", () => {
  it("starts a run under an id that the page chose, and shows it", async () => {
    const { agio, store, urls, run, lines, begin } = setUp();
    const { live, runId } = await begin("  Hi there ");
    expect(agio.server.to("/api/chat")[0]?.body).toEqual({
      agent_id: "assistant",
      message: "Hi there",
      run_id: runId,
      stream: true,
    });
    expect(lines()).toEqual(["user: Hi there"]);
    expect(urls).toEqual([`push null ${runId}`]);
    live.push(...story());
    live.end();
    await until(() => run()?.status === "completed");
    expect(lines()).toEqual(["user: Hi there", "assistant: Hello"]);
    await until(() => store.snapshot().connection === null);
    expect(store.snapshot().said).toEqual({ said: { kind: "completed" }, urgent: false });
  });

  it("puts the session into the URL as soon as the server names it", async () => {
    const { store, urls, begin } = setUp();
    const { live, runId } = await begin();
    live.push(...story().slice(0, 1));
    await until(() => store.snapshot().selection.sessionId === "s1");
    expect(urls).toEqual([`push null ${runId}`, `replace s1 ${runId}`]);
  });

  it("goes on in the same session and on the branch that is shown", async () => {
    const { agio, run, lines, begin } = setUp();
    const first = await begin("One");
    first.live.push(...story("Answer one"));
    first.live.end();
    await until(() => run()?.status === "completed");
    const second = await begin("Two");
    expect(agio.server.to("/api/chat")[1]?.body).toMatchObject({ session_id: "s1", branch_id: "b1" });
    expect(second.runId).not.toBe(first.runId);
    second.live.push(...story("Answer two"));
    await until(() => lines().length === 4);
    expect(lines()).toEqual(["user: One", "assistant: Answer one", "user: Two", "assistant: Answer two"]);
  });

  it("gives the text back when the server refuses it", async () => {
    const { agio, store, urls, lines } = setUp();
    agio.before = ({ path }) =>
      path === "/api/chat" ? refusal(409, "the agent 'assistant' is disabled") : undefined;
    store.setDraft("");
    store.send("Hi", "assistant");
    await until(() => store.snapshot().problem);
    expect(store.snapshot()).toMatchObject({
      problem: "the agent 'assistant' is disabled",
      draft: "Hi",
      run: null,
      selection: { sessionId: null, runId: null },
    });
    expect(lines()).toEqual([]);
    expect(urls.at(-1)).toBe("replace null null");
  });

  it("does nothing without a text or an agent", async () => {
    const { agio, store } = setUp();
    store.send("   ", "assistant");
    store.send("Hi", "");
    await settle();
    expect(agio.calls).toEqual([]);
  });

  it("announces the new run to the lists with its first event", async () => {
    const { store, begin } = setUp();
    const { live } = await begin();
    const before = store.snapshot().revision;
    live.push(...story().slice(0, 3));
    await until(() => store.snapshot().run?.lastSeq === 3);
    expect(store.snapshot().revision).toBe(before + 1);
  });
});

describe("opening", () => {
  const PAST = [
    { id: "u1", role: "user", content: "One", run_id: "r1" },
    { id: "a1", role: "assistant", content: "Answer one", run_id: "r1" },
    { id: "u2", role: "user", content: "Two", run_id: "r2" },
  ];

  it("a run in mid-stream shows its history and re-attaches", async () => {
    const { agio, store, urls, run, lines } = setUp();
    agio.addRun("r2", { status: "running", last_seq: 3 });
    agio.messages.set("r2", PAST);
    void store.open({ sessionId: "s1", runId: "r2" });
    const live = await agio.stream();
    expect(agio.server.to("/api/runs/r2/events")).toHaveLength(1);
    expect(run()?.status).toBe("running");
    live.push(...story("Answer two").slice(0, 3));
    await until(() => lines().length === 4);
    expect(lines()).toEqual(["user: One", "assistant: Answer one", "user: Two", "assistant: Answer two"]);
    expect(urls).toEqual([]);
  });

  it("a session shows its newest run", async () => {
    const { agio, store, urls } = setUp();
    agio.addRun("r1");
    agio.addRun("r2");
    agio.messages.set("r2", PAST);
    await store.open({ sessionId: "s1", runId: null });
    expect(store.snapshot().selection).toEqual({ sessionId: "s1", runId: "r2" });
    expect(urls).toEqual(["replace s1 r2"]);
  });

  it("a session without a run shows nothing and lets a person write", async () => {
    const { store, run } = setUp();
    await store.open({ sessionId: "s9", runId: null });
    expect(store.snapshot()).toMatchObject({ loading: false, problem: null });
    expect(run()).toBeNull();
  });

  it("a run that has only begun takes its history from its branch", async () => {
    const { agio, store, lines } = setUp();
    agio.addRun("r2", { status: "queued", input: "Two" });
    agio.messages.set("s1", PAST.slice(0, 2));
    await store.open({ sessionId: null, runId: "r2" });
    expect(agio.calls.some(({ path }) => path.startsWith("/api/sessions/s1/messages?branch_id=b1"))).toBe(
      true,
    );
    expect(lines()).toEqual(["user: One", "assistant: Answer one", "user: Two"]);
    expect(store.snapshot().selection.sessionId).toBe("s1");
  });

  it("what does not exist says so", async () => {
    const { store } = setUp();
    await store.open({ sessionId: null, runId: "nope" });
    expect(store.snapshot()).toMatchObject({ loading: false, problem: "there is no /api/runs/nope" });
  });

  it("a run whose history cannot be read still shows the run", async () => {
    const { agio, store } = setUp();
    agio.addRun("r1", { status: "running" });
    agio.before = ({ path }) => (path.includes("/messages") ? refusal(500, "broken") : undefined);
    await store.open({ sessionId: "s1", runId: "r1" });
    expect(store.snapshot()).toMatchObject({ problem: "broken", run: { runId: "r1" } });
    await agio.stream();
  });

  it("another run leaves the first one's stream, which does not stop that run", async () => {
    const { agio, store, begin } = setUp();
    const { live } = await begin();
    agio.addRun("r9");
    await store.open({ sessionId: "s1", runId: "r9" });
    live.push(...story());
    await settle();
    expect(store.snapshot().run?.runId).toBe("r9");
    expect(agio.server.to("/api/chat")[0]?.signal?.aborted).toBe(true);
    expect(agio.commands()).toEqual(["/api/chat"]);
  });

  it("drops an answer that comes after the person went on", async () => {
    const { agio, store } = setUp();
    agio.addRun("r1");
    agio.addRun("r2");
    await Promise.all([
      store.open({ sessionId: "s1", runId: "r1" }),
      store.open({ sessionId: "s1", runId: "r2" }),
    ]);
    expect(store.snapshot().run?.runId).toBe("r2");
    expect(agio.server.to("/api/runs/r1/events")).toEqual([]);
  });

  it("keeps what is typed, and does nothing when it is open already", async () => {
    const { agio, store } = setUp();
    agio.addRun("r1");
    store.setDraft("half a thought");
    await store.open({ sessionId: "s1", runId: "r1" });
    const calls = agio.calls.length;
    await store.open({ sessionId: "s1", runId: "r1" });
    expect(agio.calls).toHaveLength(calls);
    expect(store.snapshot().draft).toBe("half a thought");
  });
});

describe("commands", () => {
  it("pause and resume the run", async () => {
    const { agio, store, run, begin } = setUp();
    const { live, runId } = await begin();
    live.push(...story().slice(0, 2));
    await until(() => run()?.status === "running");
    agio.addRun(runId, { status: "running", last_seq: 2, pause_requested: true });
    expect(await store.pause()).toBe(true);
    expect(run()?.pauseRequested).toBe(true);
    live.push(...numbered([{ type: "run_pause_requested" }, { type: "run_paused" }], 3));
    await until(() => run()?.status === "paused");
    await store.resume();
    expect(agio.commands()).toEqual(["/api/chat", `/api/runs/${runId}/pause`, `/api/runs/${runId}/resume`]);
  });

  it("show that a stop was accepted until it has taken effect", async () => {
    const { agio, store, begin, run } = setUp();
    const { live, runId } = await begin();
    live.push(...story().slice(0, 2));
    await until(() => run()?.lastSeq === 2);
    agio.addRun(runId, { status: "running", last_seq: 2, cancel_requested: true });
    await store.cancel();
    expect(isCancelling(store.snapshot())).toBe(true);
    live.push(...numbered([{ type: "run_cancelled", by: "ann" }], 3));
    await until(() => run()?.status === "cancelled");
    expect(isCancelling(store.snapshot())).toBe(false);
  });

  it("stop a run before its first event, even if the stop arrives before the start", async () => {
    const { agio, store, begin } = setUp();
    const { runId } = await begin();
    let refusals = 3;
    agio.before = ({ path }) => {
      if (!path.endsWith("/cancel") || refusals === 0) return undefined;
      refusals -= 1;
      return refusal(404, "there is no such run yet");
    };
    expect(await store.cancel()).toBe(true);
    expect(agio.server.to(`/api/runs/${runId}/cancel`)).toHaveLength(4);
    expect(store.snapshot().problem).toBeNull();
  });

  it("do not insist on stopping a run that is gone", async () => {
    const { agio, store } = setUp();
    agio.addRun("r1");
    await store.open({ sessionId: "s1", runId: "r1" });
    const live = await agio.stream();
    live.push(...story().slice(0, 2));
    await until(() => store.snapshot().run?.lastSeq === 2);
    agio.before = ({ path }) => (path.endsWith("/cancel") ? refusal(404, "there is no run 'r1'") : undefined);
    expect(await store.cancel()).toBe(false);
    expect(store.snapshot()).toMatchObject({ problem: "there is no run 'r1'", command: null });
    expect(agio.server.to("/api/runs/r1/cancel")).toHaveLength(1);
  });

  it("tell what the server refuses with, until it is dismissed", async () => {
    const { agio, store, begin } = setUp();
    await begin();
    agio.before = ({ path }) => (path.endsWith("/pause") ? refusal(409, "the run is completed") : undefined);
    await store.pause();
    expect(store.snapshot().problem).toBe("the run is completed");
    store.dismissProblem();
    expect(store.snapshot().problem).toBeNull();
  });

  it("go out one at a time", async () => {
    const { agio, store, begin } = setUp();
    await begin();
    const [first, second] = await Promise.all([store.pause(), store.pause()]);
    expect([first, second]).toEqual([true, false]);
    expect(agio.commands()).toHaveLength(2);
  });

  it("answer approvals", async () => {
    const { agio, store, begin } = setUp();
    await begin();
    await store.decide("a1", { decision: "approve", arguments: { to: "bob" } });
    expect(agio.server.to("/api/approvals/a1")[0]?.body).toEqual({
      decision: "approve",
      arguments: { to: "bob" },
    });
  });

  it("make a tool call of unknown outcome again", async () => {
    const { agio, store, begin } = setUp();
    const { runId } = await begin();
    await store.rerunTools(["c1"]);
    expect(agio.server.to(`/api/runs/${runId}/resume`)[0]?.body).toEqual({ retry_tools: ["c1"] });
  });

  it("retry a failed run and attach to it again behind its end", async () => {
    const { agio, store, begin, run } = setUp();
    const { live, runId } = await begin();
    live.push(...numbered([{ type: "run_started", session_id: "s1" }, { type: "run_failed" }]));
    live.end();
    await until(() => store.snapshot().connection === null);
    await store.retry();
    const again = await agio.stream(1);
    expect(agio.server.to(`/api/runs/${runId}/events`)[0]?.headers.get("last-event-id")).toBe("2");
    again.push(...numbered([{ type: "run_restored", attempt: 2 }], 3));
    await until(() => run()?.attempt === 2);
    expect(run()?.status).toBe("running");
  });
});

describe("going back", () => {
  async function ended() {
    const all = setUp();
    all.agio.addRun("r1", { last_seq: 5 });
    await all.store.open({ sessionId: "s1", runId: "r1" });
    const live = await all.agio.stream();
    live.push(...story());
    live.end();
    await until(() => all.store.snapshot().connection === null);
    all.agio.addRun("r2", {
      status: "running",
      parent: { run_id: "r1", checkpoint_id: "r1.4", kind: "fork" },
    });
    return all;
  }

  it("forks with modifications and attaches to the new run", async () => {
    const { agio, store, urls } = await ended();
    agio.before = ({ path }) =>
      path === "/api/checkpoints/r1.4/fork"
        ? json({ run_id: "r2", new_run_id: "r2", parent_run_id: "r1" }, 201)
        : undefined;
    expect(await store.fork("r1.4", { system_prompt: "Be brief." })).toBe(true);
    await until(() => store.snapshot().run?.runId === "r2");
    await agio.stream(1);
    expect(agio.server.to("/api/checkpoints/r1.4/fork")[0]?.body).toEqual({
      modifications: { system_prompt: "Be brief." },
    });
    expect(agio.server.to("/api/runs/r2/events")).toHaveLength(1);
    expect(urls.slice(-2)).toEqual(["push null r2", "replace s1 r2"]);
    expect(store.snapshot().facts?.parent?.run_id).toBe("r1");
  });

  it("restores into a new run", async () => {
    const { agio, store } = await ended();
    agio.before = ({ path }) => (path.endsWith("/restore") ? json({ run_id: "r2" }, 201) : undefined);
    expect(await store.restore("r1.4")).toBe(true);
    await until(() => store.snapshot().run?.runId === "r2");
  });

  it("stays where it is when the server refuses", async () => {
    const { agio, store } = await ended();
    agio.before = ({ path }) => (path.endsWith("/fork") ? refusal(422, "unknown model 'x'") : undefined);
    expect(await store.fork("r1.4", { model: "x" })).toBe(false);
    expect(store.snapshot()).toMatchObject({ problem: "unknown model 'x'", run: { runId: "r1" } });
  });
});

describe("watching", () => {
  it("tells its readers about every change, until they leave", () => {
    const { store } = setUp();
    let changes = 0;
    const leave = store.subscribe(() => {
      changes += 1;
    });
    store.setDraft("a");
    leave();
    store.setDraft("ab");
    expect(changes).toBe(1);
    expect(store.snapshot().draft).toBe("ab");
  });
});
