/** Follows one run: starts it or attaches to it, and hands its events out until it has ended. */

import type { AgioApi, ChatRequest } from "./api";
import { decodeFrame, isTerminal, type RunEvent } from "./events";
import { newId } from "./ids";
import { runStream, type StreamEnd, type StreamOptions } from "./stream";

export interface FollowOptions
  extends Pick<StreamOptions, "signal" | "onConnection" | "stallMs" | "lingerMs" | "sleep" | "random"> {
  readonly api: AgioApi;
  readonly runId: string;
  /** Set: the run is started with this request. Otherwise it exists. */
  readonly start?: ChatRequest;
  /** Events up to this number are known already. */
  readonly after?: number;
  /** Called in order of arrival; the reader applies each number once. */
  onEvent(event: RunEvent): void;
  /** The server does not know the cursor any more: all events come again, from the first. */
  onRewind?(): void;
}

/** Returns why following ended; never rejects. */
export async function followRun(options: FollowOptions): Promise<StreamEnd> {
  const { api, runId, start, after = 0, onEvent, onRewind, ...rest } = options;
  const key = newId();
  let started = start === undefined;

  const follow = (lastEventId: string | null) =>
    runStream({
      ...rest,
      lastEventId,
      connect: async (cursor, signal) => {
        if (started || start === undefined) return api.openEvents(runId, cursor, signal);
        // Until the server has accepted it, the same request is sent again: its key keeps it one run.
        const response = await api.openChat(start, key, cursor, signal);
        started = response.ok;
        return response;
      },
      isTerminal: (frame) => isTerminal(frame.event),
      onFrame: (frame) => {
        const event = decodeFrame(frame);
        if (event !== null) onEvent(event);
      },
    });

  const end = await follow(after > 0 ? String(after) : null);
  const cursorRefused = end.kind === "refused" && end.error.status === 400 && started;
  if (!cursorRefused) return end;
  onRewind?.();
  return follow(null);
}
