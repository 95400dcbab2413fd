import { afterEach, describe, expect, it, vi } from "vitest";
import {
  type Call,
  fakeServer,
  frames,
  NO_CONTENT,
  numbered,
  refusal,
  settle,
  streamed,
  until,
} from "../testing/wire";
import { AgioEventSource as EventSource } from "./event-source";

const ANSWER = numbered([
  { type: "run_started" },
  { type: "content_delta", message_id: "m1", content: "Hel" },
  { type: "content_delta", message_id: "m1", content: "lo" },
  { type: "run_completed", response: "Hello", metrics: {} },
]);

/** A server whose fetch has the platform's type. */
function server(answer: (call: Call, nth: number) => Response | null) {
  const fake = fakeServer(answer);
  const fetch: typeof globalThis.fetch = (url, init) => fake.fetch(String(url), init ?? {});
  return { ...fake, fetch };
}

const opened: EventSource[] = [];

function open(url: string, init: ConstructorParameters<typeof EventSource>[1]): EventSource {
  const source = new EventSource(url, init);
  opened.push(source);
  return source;
}

afterEach(() => {
  for (const source of opened.splice(0)) source.close();
  vi.useRealTimers();
});

describe("the documented use", () => {
  it("posts a message and hears deltas and the end, as with the browser's own class", async () => {
    const { fetch, calls } = server(() => streamed([frames(ANSWER)]));
    vi.stubGlobal("fetch", fetch);
    const log: string[] = [];

    // As in the API's README: method, headers and body in the second argument, untyped listeners.
    const eventSource = new EventSource("/api/chat", {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
      },
      body: JSON.stringify({ agent_id: "assistant", message: "Hello", stream: true }),
    });
    eventSource.addEventListener("content_delta", (event) => {
      const data = JSON.parse(event.data);
      log.push(data.content);
    });
    eventSource.addEventListener("run_completed", (_event) => {
      log.push("Completed");
      eventSource.close();
    });

    await until(() => log.includes("Completed"));
    expect(log).toEqual(["Hel", "lo", "Completed"]);
    expect(eventSource.readyState).toBe(EventSource.CLOSED);
    expect(calls).toHaveLength(1);
    expect(calls[0]).toMatchObject({
      method: "POST",
      path: "/api/chat",
      body: { agent_id: "assistant", message: "Hello", stream: true },
    });
    expect(calls[0]?.headers.get("content-type")).toBe("application/json");
    expect(calls[0]?.headers.get("accept")).toBe("text/event-stream");
  });
});

describe("the EventSource interface", () => {
  it("goes from connecting over open to closed", async () => {
    const { fetch } = server(() => streamed([frames(ANSWER)]));
    const states: number[] = [];
    const source = open("/api/runs/r1/events", { fetch });
    states.push(source.readyState);
    source.onopen = () => states.push(source.readyState);
    await until(() => source.readyState === EventSource.CLOSED);
    expect(states).toEqual([EventSource.CONNECTING, EventSource.OPEN]);
    expect([source.CONNECTING, source.OPEN, source.CLOSED]).toEqual([0, 1, 2]);
    expect(source.url).toBe("/api/runs/r1/events");
  });

  it("gives unnamed frames to onmessage and named ones to their listeners", async () => {
    const { fetch } = server(() => streamed(["data: plain\nid: 1\n\n", frames(ANSWER.slice(3))]));
    const source = open("/x", { fetch });
    const messages: string[] = [];
    source.onmessage = (event) => messages.push(event.data);
    const ends: string[] = [];
    source.addEventListener("run_completed", ({ lastEventId }) => ends.push(lastEventId));
    await until(() => source.readyState === EventSource.CLOSED);
    expect(messages).toEqual(["plain"]);
    expect(ends).toEqual(["4"]);
  });

  it("carries the last id over frames that have none", async () => {
    const { fetch } = server(() => streamed(["data: a\nid: 9\n\ndata: b\n\n", frames(ANSWER.slice(3))]));
    const source = open("/x", { fetch });
    const ids: string[] = [];
    source.onmessage = (event) => ids.push(event.lastEventId);
    await until(() => source.readyState === EventSource.CLOSED);
    expect(ids).toEqual(["9", "9"]);
  });

  it("lets a listener be taken away, or be called once", async () => {
    const { fetch } = server(() => streamed([frames(ANSWER)]));
    const source = open("/x", { fetch });
    const never = vi.fn();
    const once = vi.fn();
    source.addEventListener("content_delta", never);
    source.removeEventListener("content_delta", never);
    source.addEventListener("content_delta", once, { once: true });
    await until(() => source.readyState === EventSource.CLOSED);
    expect(never).not.toHaveBeenCalled();
    expect(once).toHaveBeenCalledOnce();
  });

  it("sends credentials to other origins only when asked to", async () => {
    const seen: (RequestCredentials | undefined)[] = [];
    const fetch: typeof globalThis.fetch = async (_url, init) => {
      seen.push(init?.credentials);
      return streamed([frames(ANSWER)]);
    };
    const sources = [open("/x", { fetch }), open("/x", { fetch, withCredentials: true })];
    await until(() => sources.every(({ readyState }) => readyState === EventSource.CLOSED));
    expect(seen).toEqual(["same-origin", "include"]);
    expect(sources.map(({ withCredentials }) => withCredentials)).toEqual([false, true]);
  });

  it("says nothing more once it is closed, and closes its request", async () => {
    const { fetch, calls } = server(({ signal }) =>
      streamed([frames(ANSWER.slice(0, 1))], { after: "hold", signal }),
    );
    const source = open("/x", { fetch });
    const errors = vi.fn();
    source.onerror = errors;
    await until(() => source.readyState === EventSource.OPEN);
    source.close();
    await settle();
    expect(source.readyState).toBe(EventSource.CLOSED);
    expect(calls[0]?.signal?.aborted).toBe(true);
    expect(errors).not.toHaveBeenCalled();
  });
});

describe("reconnecting", () => {
  async function cutOnce(init: ConstructorParameters<typeof EventSource>[1]) {
    vi.useFakeTimers();
    const { fetch, calls } = server((_, nth) =>
      streamed([frames(nth === 0 ? ANSWER.slice(0, 2) : ANSWER.slice(2))]),
    );
    const source = open("/api/chat", { ...init, fetch });
    const errors: number[] = [];
    source.addEventListener("error", () => errors.push(source.readyState));
    const contents: string[] = [];
    source.addEventListener("content_delta", ({ data }) => contents.push(JSON.parse(data).content));
    await vi.advanceTimersByTimeAsync(3_000);
    expect(contents).toEqual(["Hel", "lo"]);
    expect(errors).toEqual([EventSource.CONNECTING]);
    expect(source.readyState).toBe(EventSource.CLOSED);
    return calls;
  }

  it("re-attaches a POST under the same key, so that no second run is started", async () => {
    const [first, second] = await cutOnce({ method: "post", body: "{}" });
    expect(second?.method).toBe("POST");
    expect(second?.headers.get("last-event-id")).toBe("2");
    expect(first?.headers.get("idempotency-key")).toBeTruthy();
    expect(second?.headers.get("idempotency-key")).toBe(first?.headers.get("idempotency-key"));
  });

  it("keeps the caller's own key", async () => {
    const [first] = await cutOnce({ method: "POST", headers: { "Idempotency-Key": "mine" } });
    expect(first?.headers.get("idempotency-key")).toBe("mine");
  });

  it("sends no key with a GET", async () => {
    const [first, second] = await cutOnce({});
    expect(first?.headers.has("idempotency-key")).toBe(false);
    expect(second?.headers.get("last-event-id")).toBe("2");
  });

  it("does not reconnect behind the end of a run", async () => {
    vi.useFakeTimers();
    const { fetch, calls } = server(() => streamed([frames(ANSWER)]));
    const source = open("/x", { fetch });
    const errors = vi.fn();
    source.onerror = errors;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(calls).toHaveLength(1);
    expect(errors).not.toHaveBeenCalled();
  });

  it("closes quietly at 204", async () => {
    const { fetch } = server(NO_CONTENT);
    const source = open("/x", { fetch });
    const errors = vi.fn();
    source.onerror = errors;
    await until(() => source.readyState === EventSource.CLOSED);
    expect(errors).not.toHaveBeenCalled();
  });

  it("closes with an error when it is refused", async () => {
    const { fetch, calls } = server(() => refusal(404, "no such agent"));
    const source = open("/x", { fetch });
    const states: number[] = [];
    source.onerror = () => states.push(source.readyState);
    await until(() => states.length > 0);
    expect(states).toEqual([EventSource.CLOSED]);
    expect(calls).toHaveLength(1);
  });
});
