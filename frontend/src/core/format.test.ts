import { describe, expect, it } from "vitest";
import { clock, cost, count, duration, glimpse, pretty, span } from "./format";

describe("duration", () => {
  it.each([
    [-5, "0 ms"],
    [0, "0 ms"],
    [850.4, "850 ms"],
    [1_000, "1.0 s"],
    [2_140, "2.1 s"],
    [59_940, "59.9 s"],
    [59_960, "1 min 00 s"],
    [185_000, "3 min 05 s"],
    [3_599_400, "59 min 59 s"],
    [3_720_000, "1 h 02 min"],
  ])("%d ms reads %j", (ms, text) => {
    expect(duration(ms)).toBe(text);
  });
});

describe("figures", () => {
  it("group thousands", () => {
    expect(count(1_234_567.4)).toBe("1,234,567");
  });

  it("give small sums more places", () => {
    expect([cost(0), cost(0.0042), cost(1.5)]).toEqual(["$0.00", "$0.0042", "$1.50"]);
  });
});

describe("span", () => {
  const from = "2026-01-01T12:00:00Z";

  it("is the time between two instants, never below zero", () => {
    expect(span(from, "2026-01-01T12:00:01.5Z")).toBe(1_500);
    expect(span(from, Date.parse(from) + 20)).toBe(20);
    expect(span(from, "2026-01-01T11:00:00Z")).toBe(0);
  });

  it("is unknown when one end is", () => {
    expect(span(undefined, from)).toBeNull();
    expect(span(from, null)).toBeNull();
    expect(span(from, "yesterday")).toBeNull();
  });
});

describe("clock", () => {
  const noon = new Date(2026, 2, 3, 12, 0).getTime();

  it("leaves out the day when it is today", () => {
    expect(clock(new Date(2026, 2, 3, 9, 5).toISOString(), noon)).toBe("09:05");
  });

  it("names another day", () => {
    expect(clock(new Date(2026, 1, 28, 14, 5).toISOString(), noon)).toBe("28 Feb, 14:05");
  });

  it("says nothing of no instant", () => {
    expect(clock(undefined, noon)).toBe("");
    expect(clock("soon", noon)).toBe("");
  });
});

describe("pretty", () => {
  it("indents JSON and leaves text alone", () => {
    expect(pretty({ a: 1 })).toBe('{\n  "a": 1\n}');
    expect(pretty("plain")).toBe("plain");
    expect(pretty(null)).toBe("");
    expect(pretty(undefined)).toBe("");
  });
});

describe("glimpse", () => {
  it("puts the fields of an object on one line", () => {
    expect(glimpse({ query: "weather\nin Oslo", limit: 3, deep: { a: [1] } })).toBe(
      'query: weather in Oslo · limit: 3 · deep: {"a":[1]}',
    );
  });

  it("shows anything else as it is", () => {
    expect(glimpse("text")).toBe("text");
    expect(glimpse([1, 2])).toBe("[1,2]");
    expect(glimpse(undefined)).toBe("");
  });

  it("cuts what is too long", () => {
    const line = glimpse("x".repeat(500), 20);
    expect(line).toHaveLength(20);
    expect(line.endsWith("…")).toBe(true);
  });
});
