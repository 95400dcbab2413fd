/** A stand-in for the server in tests: frames, streams and a fetch that records what it was asked. */

import type { Fetch } from "../core/api";
import { decodeEvent, type RunEvent } from "../core/events";

export interface WireEvent {
  readonly type: string;
  readonly seq?: number;
  readonly [field: string]: unknown;
}

/** Numbers events from `first`, as the events of run `run_id`. */
export function numbered(events: readonly WireEvent[], first = 1, run_id = "r1"): WireEvent[] {
  return events.map((event, index) => ({ run_id, seq: first + index, at: at(first + index), ...event }));
}

/** The instant of event `seq`: one second after the one before. */
export function at(seq: number): string {
  return new Date(Date.UTC(2026, 0, 1, 12, 0, seq)).toISOString();
}

/** Numbers and decodes events; one that does not decode fails the test. */
export function decoded(events: readonly WireEvent[], first = 1): RunEvent[] {
  return numbered(events, first).map((event) => {
    const run = decodeEvent(event.type, event);
    if (run === null) throw new Error(`not an event: ${JSON.stringify(event)}`);
    return run;
  });
}

/** An event as it travels: name, data, and the id last. */
export function frame(event: WireEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\nid: ${event.seq}\n\n`;
}

export function frames(events: readonly WireEvent[]): string {
  return events.map(frame).join("");
}

export interface StreamScript {
  /** What comes after the chunks. Default: a clean end. */
  readonly after?: "end" | "break" | "hold";
  readonly signal?: AbortSignal | null;
}

/** A streaming response; `hold` keeps it open until its request is aborted. */
export function streamed(
  chunks: readonly (string | Uint8Array)[],
  { after = "end", signal }: StreamScript = {},
): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks)
        controller.enqueue(typeof chunk === "string" ? encoder.encode(chunk) : chunk);
      const fail = () => controller.error(new TypeError("connection lost"));
      if (after === "end") controller.close();
      else if (after === "break") setTimeout(fail, 0);
      else signal?.addEventListener("abort", fail);
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream; charset=utf-8" } });
}

/** A stream that the test feeds while it is read. */
export class LiveStream {
  private controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  readonly response: Response;

  constructor(signal: AbortSignal | null) {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.controller = controller;
      },
    });
    signal?.addEventListener("abort", () => this.cut());
    this.response = new Response(body, { headers: { "content-type": "text/event-stream" } });
  }

  push(...events: readonly WireEvent[]): void {
    this.write(frames(events));
  }

  comment(text: string): void {
    this.write(`: ${text}\n\n`);
  }

  private write(text: string): void {
    this.controller?.enqueue(new TextEncoder().encode(text));
  }

  end(): void {
    this.controller?.close();
    this.controller = null;
  }

  cut(): void {
    this.controller?.error(new TypeError("connection lost"));
    this.controller = null;
  }
}

export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}

/** A refusal as the API words it. */
export function refusal(status: number, detail: string, rest: Record<string, unknown> = {}): Response {
  return json(
    { type: `code_${status}`, title: "Refused", status, detail, retryable: false, ...rest },
    status,
  );
}

export function pageOf(items: readonly unknown[]): Response {
  return json({ items, total: items.length, limit: 100, offset: 0, has_more: false });
}

export const NO_CONTENT = () => new Response(null, { status: 204 });

export interface Call {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Headers;
  readonly body: unknown;
  readonly signal: AbortSignal | null;
}

export interface FakeServer {
  readonly fetch: Fetch;
  readonly calls: Call[];
  /** Calls to a path, query not counted. */
  to(path: string): Call[];
}

/** Answers every request with what `answer` returns; null is a lost connection. */
export function fakeServer(
  answer: (call: Call, nth: number) => Response | null | Promise<Response | null>,
): FakeServer {
  const calls: Call[] = [];
  const fetch: Fetch = async (url, init) => {
    const body: unknown = typeof init.body === "string" ? JSON.parse(init.body) : undefined;
    const headers = new Headers(init.headers);
    const call = { method: init.method ?? "GET", path: url, headers, body, signal: init.signal ?? null };
    calls.push(call);
    const response = await answer(call, calls.length - 1);
    if (response === null) throw new TypeError("fetch failed");
    return response;
  };
  return { fetch, calls, to: (path) => calls.filter((call) => call.path.split("?")[0] === path) };
}

/** Lets everything that is ready run, timers of 0 ms included. */
export async function settle(rounds = 20): Promise<void> {
  for (let i = 0; i < rounds; i += 1) await new Promise((resolve) => setTimeout(resolve, 0));
}

/** Waits until `check` returns something; fails after ten seconds. */
export async function until<T>(check: () => T | null | undefined | false): Promise<T> {
  const end = Date.now() + 10_000;
  for (;;) {
    const value = check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`never became true: ${check}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
