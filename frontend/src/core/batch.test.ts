import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { batched } from "./batch";

describe("batched", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("hands on what came together, in order", () => {
    const hand = vi.fn();
    const batch = batched<number>(50, hand);
    for (const n of [1, 2, 3]) batch.add(n);
    expect(hand).not.toHaveBeenCalled();
    vi.advanceTimersByTime(0);
    expect(hand.mock.calls).toEqual([[[1, 2, 3]]]);
  });

  it("hands on at most once per interval while items keep coming", () => {
    const hand = vi.fn();
    const batch = batched<number>(50, hand);
    for (let ms = 0; ms < 1_000; ms += 5) {
      batch.add(ms);
      vi.advanceTimersByTime(5);
    }
    expect(hand.mock.calls.length).toBeLessThanOrEqual(21);
    vi.advanceTimersByTime(50);
    expect(hand.mock.calls.flat(2)).toHaveLength(200);
  });

  it("hands on at once after a quiet time", () => {
    const hand = vi.fn();
    const batch = batched<number>(50, hand);
    batch.add(1);
    vi.advanceTimersByTime(500);
    batch.add(2);
    vi.advanceTimersByTime(0);
    expect(hand.mock.calls).toEqual([[[1]], [[2]]]);
  });

  it("hands on at once when told to", () => {
    const hand = vi.fn();
    const batch = batched<number>(50, hand);
    batch.add(1);
    batch.flush();
    expect(hand.mock.calls).toEqual([[[1]]]);
    vi.advanceTimersByTime(500);
    expect(hand).toHaveBeenCalledOnce();
  });

  it("drops what waits when it is cleared, and works on", () => {
    const hand = vi.fn();
    const batch = batched<number>(50, hand);
    batch.add(1);
    batch.clear();
    vi.advanceTimersByTime(100);
    expect(hand).not.toHaveBeenCalled();
    batch.add(2);
    vi.advanceTimersByTime(100);
    expect(hand.mock.calls).toEqual([[[2]]]);
  });

  it("leaves no timer behind when nothing comes", () => {
    const batch = batched<number>(50, () => undefined);
    batch.add(1);
    vi.advanceTimersByTime(500);
    expect(vi.getTimerCount()).toBe(0);
  });
});
