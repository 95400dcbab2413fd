/** Follows a run over a stream that is shared; the counterpart of `followRun`, which opens one of its own. */

import type { AgioApi, ChatRequest } from "./api";
import { backoffMs, STREAM_BACKOFF, sleep as sleepFor } from "./backoff";
import { decodeFrame } from "./events";
import type { FollowOptions } from "./follow";
import type { Reader } from "./hub";
import { newId } from "./ids";
import { ApiError } from "./problem";
import type { StreamEnd } from "./stream";

export interface Streams {
  /** Begins to read behind event `after`; returns how to stop. */
  follow(runId: string, after: number, reader: Reader): () => void;
}

/** Returns a `followRun` whose events come through `streams`; a run is started by a plain request. */
export function sharedFollow(streams: Streams): (options: FollowOptions) => Promise<StreamEnd> {
  return async (options) => {
    if (options.start !== undefined) {
      const refused = await startRun(options, options.start);
      if (refused !== null) return refused;
    }
    return read(streams, options);
  };
}

/** Sends the request until the server has answered; its key keeps it one run. Returns why there is none. */
async function startRun(options: FollowOptions, start: ChatRequest): Promise<StreamEnd | null> {
  const { api, signal, onConnection, sleep = sleepFor, random = Math.random } = options;
  const key = newId();
  onConnection?.({ phase: "connecting" });
  for (let failures = 1; !signal.aborted; failures += 1) {
    const error = await attempt(api, start, key);
    if (error === null) return null;
    if (error instanceof ApiError && !error.retryable) return { kind: "refused", error };
    const wished = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    const delayMs = Math.max(backoffMs(failures, STREAM_BACKOFF, random), wished);
    onConnection?.({ phase: "reconnecting", failures, delayMs });
    await sleep(delayMs, signal);
  }
  return { kind: "aborted" };
}

async function attempt(api: AgioApi, start: ChatRequest, key: string): Promise<unknown> {
  try {
    await api.startRun(start, key);
    return null;
  } catch (error) {
    return error;
  }
}

function read(streams: Streams, options: FollowOptions): Promise<StreamEnd> {
  const { runId, after = 0, signal, onEvent, onRewind, onConnection } = options;
  return new Promise((resolve) => {
    if (signal.aborted) return resolve({ kind: "aborted" });
    const leave = streams.follow(runId, after, {
      onFrames: (frames) => {
        for (const frame of frames) {
          const event = decodeFrame(frame);
          if (event !== null) onEvent(event);
        }
      },
      onConnection: (connection) => onConnection?.(connection),
      onRewind: () => onRewind?.(),
      onEnd: (end) => {
        signal.removeEventListener("abort", stop);
        resolve(end);
      },
    });
    function stop(): void {
      leave();
      resolve({ kind: "aborted" });
    }
    signal.addEventListener("abort", stop, { once: true });
  });
}
