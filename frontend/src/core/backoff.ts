/** How long to wait before the next try. */

export interface Backoff {
  /** First delay, before jitter. */
  readonly baseMs: number;
  /** No delay is longer. */
  readonly capMs: number;
  /** No delay is shorter. */
  readonly floorMs: number;
}

export const STREAM_BACKOFF: Backoff = { baseMs: 1_000, capMs: 15_000, floorMs: 500 };

/**
 * Returns a delay that doubles with every failure, drawn from its upper half so that the clients of a server
 * that went away do not come back in one wave.
 *
 * @param failures how many tries in a row have failed, from 1.
 * @param random uniform in [0, 1).
 */
export function backoffMs(failures: number, backoff: Backoff, random: () => number): number {
  const ceiling = Math.min(backoff.capMs, backoff.baseMs * 2 ** Math.max(0, failures - 1));
  return Math.max(backoff.floorMs, Math.round(ceiling * (0.5 + random() / 2)));
}

/** Resolves after `ms`, or at once when `signal` is aborted; never rejects. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
