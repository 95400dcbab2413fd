import { afterEach, describe, expect, it, vi } from "vitest";
import { backoffMs, STREAM_BACKOFF, sleep } from "./backoff";

const lowest = () => 0;
const highest = () => 0.999999;

describe("backoffMs", () => {
  it("doubles up to the cap", () => {
    const delays = [1, 2, 3, 4, 5, 6, 50].map((failures) => backoffMs(failures, STREAM_BACKOFF, highest));
    expect(delays).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
  });

  it("draws from the upper half of the delay", () => {
    expect(backoffMs(4, STREAM_BACKOFF, lowest)).toBe(4_000);
    expect(backoffMs(9, STREAM_BACKOFF, lowest)).toBe(7_500);
  });

  it("is never shorter than the floor", () => {
    expect(backoffMs(1, { ...STREAM_BACKOFF, baseMs: 10 }, lowest)).toBe(500);
  });

  it("starts from the server's wish", () => {
    expect(backoffMs(1, { ...STREAM_BACKOFF, baseMs: 3_000 }, highest)).toBe(3_000);
  });
});

describe("sleep", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("lasts as long as it is told", async () => {
    vi.useFakeTimers();
    let awake = false;
    const sleeping = sleep(100, new AbortController().signal).then(() => {
      awake = true;
    });
    await vi.advanceTimersByTimeAsync(99);
    expect(awake).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await sleeping;
    expect(awake).toBe(true);
  });

  it("ends at once when it is aborted, and leaves no timer behind", async () => {
    vi.useFakeTimers();
    const stopping = new AbortController();
    const sleeping = sleep(60_000, stopping.signal);
    stopping.abort();
    await sleeping;
    expect(vi.getTimerCount()).toBe(0);
  });

  it("does not begin when it is aborted already", async () => {
    await sleep(60_000, AbortSignal.abort());
  });
});
