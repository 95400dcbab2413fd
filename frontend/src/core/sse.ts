/** Reads server-sent events from the body of a response. */

import { createParser } from "eventsource-parser";

export interface SseFrame {
  /** Name from the `event:` line; "message" where there was none. */
  readonly event: string;
  readonly data: string;
  /** From the frame's own `id:` line. */
  readonly id: string | undefined;
}

export interface SseHandlers {
  onFrame(frame: SseFrame): void;
  /** The server's wish for the delay before a reconnect. */
  onRetry?(ms: number): void;
  /** Bytes came, keep-alive comments included. */
  onActivity?(): void;
}

/**
 * Feeds every whole frame of `body` to the handlers and returns when the body ends.
 *
 * A frame that the connection cut in two is dropped together with its id, so that a reconnect asks for it again.
 *
 * @throws what the body's reader throws: the connection broke, or the request was aborted.
 */
export async function readFrames(body: ReadableStream<Uint8Array>, handlers: SseHandlers): Promise<void> {
  const parser = createParser({
    onEvent: ({ event, data, id }) => handlers.onFrame({ event: event ?? "message", data, id }),
    onRetry: handlers.onRetry,
  });
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      handlers.onActivity?.();
      parser.feed(decoder.decode(value, { stream: true }));
    }
  } catch (error) {
    // A handler that threw leaves the body open; letting go of it closes the connection.
    reader.cancel().catch(() => undefined);
    throw error;
  }
}
