/** Gathers what arrives one by one and hands it on in batches. */

export interface Batch<T> {
  add(item: T): void;
  /** Hands on at once what is waiting. */
  flush(): void;
  /** Drops what is waiting. */
  clear(): void;
}

/**
 * Hands the first item of a quiet time on at once, and then at most one batch per `intervalMs`.
 *
 * Timers, not animation frames: those stand still in a hidden tab, and the title and the announcements go on there.
 */
export function batched<T>(intervalMs: number, hand: (items: readonly T[]) => void): Batch<T> {
  let waiting: T[] = [];
  let timer: ReturnType<typeof setTimeout> | null = null;

  function flush(): void {
    if (waiting.length === 0) return;
    const items = waiting;
    waiting = [];
    hand(items);
  }

  function tick(): void {
    timer = waiting.length > 0 ? setTimeout(tick, intervalMs) : null;
    flush();
  }

  return {
    add(item) {
      waiting.push(item);
      if (timer === null) timer = setTimeout(tick, 0);
    },
    flush,
    clear() {
      waiting = [];
    },
  };
}
