/**
 * `AgioEventSource`: the browser's EventSource interface over fetch, so that a stream can be opened by POST.
 *
 *     import { AgioEventSource as EventSource } from "./core/event-source";
 *     const source = new EventSource("/api/chat", { method: "POST", headers, body });
 *
 * Differences from the browser's own object:
 * - `method`, `headers` and `body` are honoured. A request other than GET carries an `Idempotency-Key`, the same
 *   on every reconnect, so that a reconnect re-attaches to the run instead of starting another.
 * - A run's terminal event closes it; there is no reconnect after the end of a run.
 * - 429, 502, 503 and 504 are waited out (`Retry-After`) instead of closing it for good.
 */

import { isTerminal } from "./events";
import { newId } from "./ids";
import { type Connection, runStream, type StreamEnd } from "./stream";

export interface AgioEventSourceInit extends EventSourceInit {
  readonly method?: string;
  readonly headers?: HeadersInit;
  readonly body?: BodyInit | null;
  /** Stands in for the global fetch. */
  readonly fetch?: typeof globalThis.fetch;
}

type Handler<E extends Event> = ((event: E) => void) | null;
type MessageListener = (event: MessageEvent<string>) => void;

export class AgioEventSource extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSED = 2;

  readonly url: string;
  readonly withCredentials: boolean;
  onopen: Handler<Event> = null;
  onmessage: Handler<MessageEvent<string>> = null;
  onerror: Handler<Event> = null;

  private state: 0 | 1 | 2 = 0;
  private lastEventId = "";
  private readonly closing = new AbortController();

  constructor(url: string | URL, init: AgioEventSourceInit = {}) {
    super();
    this.url = String(url);
    this.withCredentials = init.withCredentials ?? false;
    // As listeners, so that one that throws is reported by the platform and does not break the stream.
    super.addEventListener("open", (event) => this.onopen?.(event));
    super.addEventListener("error", (event) => this.onerror?.(event));
    super.addEventListener("message", (event) => this.onmessage?.(event as MessageEvent<string>));
    const request = this.requestOf(init);
    const fetch = init.fetch ?? globalThis.fetch.bind(globalThis);
    void runStream({
      connect: (lastEventId, signal) => {
        const headers = new Headers(request.headers);
        if (lastEventId !== null) headers.set("Last-Event-ID", lastEventId);
        return fetch(this.url, { ...request, headers, signal });
      },
      isTerminal: (frame) => isTerminal(frame.event),
      onFrame: (frame) => this.emit(frame.event, frame.data, frame.id),
      onConnection: (connection) => this.reflect(connection),
      signal: this.closing.signal,
    }).then((end) => this.finish(end));
  }

  get readyState(): 0 | 1 | 2 {
    return this.state;
  }

  close(): void {
    this.state = AgioEventSource.CLOSED;
    this.closing.abort();
  }

  override addEventListener(
    type: "open" | "error",
    listener: (event: Event) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: MessageListener,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | MessageListener | null,
    options?: boolean | AddEventListenerOptions,
  ): void {
    // Frames are dispatched as MessageEvents, which is what the narrower listener type promises.
    super.addEventListener(type, listener as EventListenerOrEventListenerObject | null, options);
  }

  private requestOf(init: AgioEventSourceInit): RequestInit & { headers: Headers } {
    const method = (init.method ?? "GET").toUpperCase();
    const headers = new Headers(init.headers);
    if (!headers.has("Accept")) headers.set("Accept", "text/event-stream");
    if (method !== "GET" && !headers.has("Idempotency-Key")) headers.set("Idempotency-Key", newId());
    return {
      method,
      headers,
      body: init.body ?? null,
      cache: "no-store",
      credentials: this.withCredentials ? "include" : "same-origin",
    };
  }

  private reflect(connection: Connection): void {
    if (this.state === AgioEventSource.CLOSED || connection.phase === "connecting") return;
    if (connection.phase === "live") {
      this.state = AgioEventSource.OPEN;
      this.dispatchEvent(new Event("open"));
    } else {
      this.state = AgioEventSource.CONNECTING;
      this.dispatchEvent(new Event("error"));
    }
  }

  private emit(name: string, data: string, id: string | undefined): void {
    if (this.state === AgioEventSource.CLOSED) return;
    this.lastEventId = id ?? this.lastEventId;
    this.dispatchEvent(new MessageEvent(name, { data, lastEventId: this.lastEventId }));
  }

  private finish(end: StreamEnd): void {
    if (this.state === AgioEventSource.CLOSED) return;
    this.state = AgioEventSource.CLOSED;
    if (end.kind === "refused") this.dispatchEvent(new Event("error"));
  }
}
