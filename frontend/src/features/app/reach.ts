/** Whether the server can be reached, told from every answer and every stream; the top bar shows it. */

import type { Fetch } from "../../core/client";
import type { Streams } from "../../core/shared-follow";
import type { Connection } from "../../core/stream";

export interface ReachState {
  readonly online: boolean;
  /** False after a request that got no answer. */
  readonly answers: boolean;
  /** When the server last answered, in milliseconds since 1970. */
  readonly answeredAtMs: number;
  /** Null while nothing is followed. */
  readonly connection: Connection | null;
}

export class Reach {
  private state: ReachState = { online: true, answers: true, answeredAtMs: Date.now(), connection: null };
  private readonly listeners = new Set<() => void>();
  private readers = 0;

  readonly snapshot = (): ReachState => this.state;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  setOnline(online: boolean): void {
    this.set({ online });
  }

  watched(fetch: Fetch): Fetch {
    return async (url, init) => {
      try {
        const response = await fetch(url, init);
        // A gateway answers for a server that is away.
        if (response.status < 502 || response.status > 504) this.answered();
        return response;
      } catch (error) {
        if (!(error instanceof DOMException && error.name === "AbortError")) this.set({ answers: false });
        throw error;
      }
    };
  }

  /** Returns the streams, their connection noted. */
  streams(streams: Streams): Streams {
    return {
      follow: (runId, after, reader) => {
        this.readers += 1;
        let counted = true;
        const end = () => {
          if (!counted) return;
          counted = false;
          this.readers -= 1;
          if (this.readers === 0) this.set({ connection: null });
        };
        const leave = streams.follow(runId, after, {
          ...reader,
          onConnection: (connection) => {
            this.set({ connection });
            if (connection.phase === "live") this.answered();
            reader.onConnection(connection);
          },
          onEnd: (why) => {
            end();
            reader.onEnd(why);
          },
        });
        return () => {
          end();
          leave();
        };
      },
    };
  }

  private answered(): void {
    const answeredAtMs = Date.now();
    if (!this.state.answers || answeredAtMs - this.state.answeredAtMs > 1_000)
      this.set({ answers: true, answeredAtMs });
  }

  private set(change: Partial<ReachState>): void {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }
}
