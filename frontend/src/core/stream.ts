/**
 * The one reconnecting loop over an SSE stream.
 *
 * Not responsible for what the frames mean, nor for where they come from: `connect` makes the request. Only a
 * terminal frame ends a stream. A clean end without one, a broken connection and a silent one are all the same:
 * the loop connects again from the last id that it saw whole.
 */

import { backoffMs, STREAM_BACKOFF, sleep } from "./backoff";
import { ApiError, errorOf } from "./problem";
import { readFrames, type SseFrame } from "./sse";

export type Connection =
  | { readonly phase: "connecting" }
  | { readonly phase: "live" }
  | { readonly phase: "reconnecting"; readonly failures: number; readonly delayMs: number };

export type StreamEnd =
  /** A terminal frame came and the server had nothing more. */
  | { readonly kind: "ended" }
  /** 204: the reader has everything of an ended stream. */
  | { readonly kind: "caught-up" }
  /** The server said no; trying again would not help. */
  | { readonly kind: "refused"; readonly error: ApiError }
  | { readonly kind: "aborted" };

export interface StreamOptions {
  /** Makes the request; `lastEventId` is null as long as no id was seen. */
  connect(lastEventId: string | null, signal: AbortSignal): Promise<Response>;
  onFrame(frame: SseFrame): void;
  isTerminal(frame: SseFrame): boolean;
  onConnection?(connection: Connection): void;
  readonly signal: AbortSignal;
  /** Id to go on from. */
  readonly lastEventId?: string | null;
  /** Silence after which a connection counts as dead; the server's keep-alives are at most 4 s apart. */
  readonly stallMs?: number;
  /** How long to wait after a terminal frame for the server to close, or to open a new attempt. */
  readonly lingerMs?: number;
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly random?: () => number;
}

type Attempt = StreamEnd | { readonly kind: "cut"; readonly retryAfterMs: number | null };

const CUT: Attempt = { kind: "cut", retryAfterMs: null };

/** A timer that calls back once unless it is set again before. */
class Watchdog {
  private timer: ReturnType<typeof setTimeout> | undefined;

  set(ms: number, bark: () => void): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(bark, ms);
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}

class StreamLoop {
  private cursor: string | null;
  private failures = 0;
  private baseMs = STREAM_BACKOFF.baseMs;
  private sawTerminal = false;

  constructor(private readonly options: StreamOptions) {
    this.cursor = options.lastEventId ?? null;
  }

  async run(): Promise<StreamEnd> {
    const { signal, onConnection } = this.options;
    onConnection?.({ phase: "connecting" });
    while (!signal.aborted) {
      const attempt = await this.attempt();
      if (signal.aborted) break;
      if (attempt.kind !== "cut") return attempt;
      await this.pause(attempt.retryAfterMs);
    }
    return { kind: "aborted" };
  }

  private async pause(retryAfterMs: number | null): Promise<void> {
    const { signal, onConnection, random = Math.random, sleep: wait = sleep } = this.options;
    this.failures += 1;
    const jittered = backoffMs(this.failures, { ...STREAM_BACKOFF, baseMs: this.baseMs }, random);
    const delayMs = Math.max(jittered, retryAfterMs ?? 0);
    onConnection?.({ phase: "reconnecting", failures: this.failures, delayMs });
    await wait(delayMs, signal);
  }

  private async attempt(): Promise<Attempt> {
    const { signal, connect, stallMs = 15_000 } = this.options;
    const request = new AbortController();
    const stop = () => request.abort();
    signal.addEventListener("abort", stop);
    const watchdog = new Watchdog();
    watchdog.set(stallMs, stop);
    try {
      const response = await connect(this.cursor, request.signal);
      const answer = await this.judge(response);
      if (answer !== null) return answer;
      await this.read(response, watchdog, stop);
    } catch (error) {
      if (error instanceof ApiError) return { kind: "refused", error };
      // Any other error means that the connection broke or was given up: try again, unless all is said.
    } finally {
      watchdog.stop();
      signal.removeEventListener("abort", stop);
    }
    return this.sawTerminal ? { kind: "ended" } : CUT;
  }

  /** Returns the end that the response's head means, or null when there is a stream to read. */
  private async judge(response: Response): Promise<Attempt | null> {
    if (response.status === 204) return { kind: "caught-up" };
    if (!response.ok) {
      const error = await errorOf(response);
      return error.retryable ? { kind: "cut", retryAfterMs: error.retryAfterMs } : { kind: "refused", error };
    }
    const type = response.headers.get("content-type") ?? "";
    if (!type.startsWith("text/event-stream") || response.body === null) {
      const message = `The server answered with ${type || "nothing"} where an event stream was expected.`;
      return { kind: "refused", error: new ApiError(message, response.status, "not_a_stream", false) };
    }
    return null;
  }

  private async read(response: Response, watchdog: Watchdog, stop: () => void): Promise<void> {
    const { onFrame, isTerminal, onConnection, stallMs = 15_000, lingerMs = 2_000 } = this.options;
    if (response.body === null) return;
    onConnection?.({ phase: "live" });
    await readFrames(response.body, {
      onFrame: (frame) => {
        if (frame.id !== undefined) this.cursor = frame.id;
        this.failures = 0;
        // An in-place restore opens a new attempt behind a terminal frame: what counts is the last one.
        this.sawTerminal = isTerminal(frame);
        watchdog.set(this.sawTerminal ? lingerMs : stallMs, stop);
        onFrame(frame);
      },
      onRetry: (ms) => {
        this.baseMs = ms;
      },
      onActivity: () => {
        // Keep-alives do not prolong the wait for a server that should have closed.
        if (!this.sawTerminal) watchdog.set(stallMs, stop);
      },
    });
  }
}

/** Follows a stream to its end; never rejects. */
export function runStream(options: StreamOptions): Promise<StreamEnd> {
  return new StreamLoop(options).run();
}
