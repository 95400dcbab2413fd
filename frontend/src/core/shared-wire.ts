/** What tabs and the shared worker say to each other, and both ends of it. Knows ports, not workers. */

import { Hub, type HubOptions, type Reader } from "./hub";
import { ApiError } from "./problem";
import type { Streams } from "./shared-follow";
import type { SseFrame } from "./sse";
import type { Connection, StreamEnd } from "./stream";

export type Ask =
  | {
      readonly kind: "follow";
      readonly id: number;
      readonly runId: string;
      readonly after: number;
      readonly key: string | null;
    }
  | { readonly kind: "leave"; readonly id: number }
  | { readonly kind: "bye" };

/** An `ApiError` loses its class on the way. */
type End = Exclude<StreamEnd, { kind: "refused" }> | { readonly kind: "refused"; readonly error: Refusal };
interface Refusal {
  readonly message: string;
  readonly status: number;
  readonly code: string;
}

export type Tell =
  | { readonly kind: "frames"; readonly id: number; readonly frames: readonly SseFrame[] }
  | { readonly kind: "connection"; readonly id: number; readonly connection: Connection }
  | { readonly kind: "rewind"; readonly id: number }
  | { readonly kind: "end"; readonly id: number; readonly end: End };

export interface Port<Out, In> {
  post(message: Out): void;
  listen(handler: (message: In) => void): void;
}

/** The worker's end: one hub for each credential, and the readers of each tab. */
export class HubHost {
  private readonly hubs = new Map<string | null, Hub>();

  constructor(private readonly optionsFor: (key: string | null) => HubOptions) {}

  /** Serves one tab. */
  attach(port: Port<Tell, Ask>): void {
    const leaves = new Map<number, () => void>();
    port.listen((ask) => {
      if (ask.kind === "follow") leaves.set(ask.id, this.follow(port, ask));
      if (ask.kind === "leave") {
        leaves.get(ask.id)?.();
        leaves.delete(ask.id);
      }
      if (ask.kind === "bye") {
        for (const leave of leaves.values()) leave();
        leaves.clear();
      }
    });
  }

  private follow(
    port: Port<Tell, Ask>,
    { id, runId, after, key }: Extract<Ask, { kind: "follow" }>,
  ): () => void {
    const hub = this.hubs.get(key) ?? new Hub(this.optionsFor(key));
    this.hubs.set(key, hub);
    return hub.follow(runId, after, {
      onFrames: (frames) => port.post({ kind: "frames", id, frames }),
      onConnection: (connection) => port.post({ kind: "connection", id, connection }),
      onRewind: () => port.post({ kind: "rewind", id }),
      onEnd: (end) => port.post({ kind: "end", id, end: flat(end) }),
    });
  }
}

function flat(end: StreamEnd): End {
  if (end.kind !== "refused") return end;
  const { message, status, code } = end.error;
  return { kind: "refused", error: { message, status, code } };
}

function restored(end: End): StreamEnd {
  if (end.kind !== "refused") return end;
  const { message, status, code } = end.error;
  return { kind: "refused", error: new ApiError(message, status, code, false) };
}

/** A tab's end. */
export class RemoteStreams implements Streams {
  private readonly readers = new Map<number, Reader>();
  private last = 0;

  constructor(
    private readonly port: Port<Ask, Tell>,
    private readonly key: () => string | null,
  ) {
    port.listen((tell) => this.hear(tell));
  }

  follow(runId: string, after: number, reader: Reader): () => void {
    this.last += 1;
    const id = this.last;
    this.readers.set(id, reader);
    this.port.post({ kind: "follow", id, runId, after, key: this.key() });
    return () => {
      if (this.readers.delete(id)) this.port.post({ kind: "leave", id });
    };
  }

  /** The tab goes away. */
  close(): void {
    this.port.post({ kind: "bye" });
  }

  private hear(tell: Tell): void {
    const reader = this.readers.get(tell.id);
    switch (tell.kind) {
      case "frames":
        reader?.onFrames(tell.frames);
        break;
      case "connection":
        reader?.onConnection(tell.connection);
        break;
      case "rewind":
        reader?.onRewind();
        break;
      case "end":
        this.readers.delete(tell.id);
        reader?.onEnd(restored(tell.end));
        break;
    }
  }
}
