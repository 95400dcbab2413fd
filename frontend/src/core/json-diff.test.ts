import { describe, expect, it } from "vitest";
import { jsonDiff, pointerOf, sameJson } from "./json-diff";
import { textDiff } from "./text-diff";

describe("jsonDiff", () => {
  it("finds nothing between equal values, whatever the order of keys", () => {
    expect(jsonDiff({ a: 1, b: [1, { c: null }] }, { b: [1, { c: null }], a: 1 })).toEqual([]);
    expect(sameJson([1, 2], [1, 2])).toBe(true);
    expect(sameJson([1, 2], [2, 1])).toBe(false);
  });

  it("names places by pointer", () => {
    expect(jsonDiff({ a: { b: [1, 2] }, x: 1 }, { a: { b: [1, 3, 4] } })).toEqual([
      { pointer: "/a/b/1", kind: "changed", before: 2, after: 3 },
      { pointer: "/a/b/2", kind: "added", before: undefined, after: 4 },
      { pointer: "/x", kind: "removed", before: 1, after: undefined },
    ]);
  });

  it("takes another kind of value as changed whole", () => {
    expect(jsonDiff({ a: [1] }, { a: { 0: 1 } })).toEqual([
      { pointer: "/a", kind: "changed", before: [1], after: { 0: 1 } },
    ]);
    expect(jsonDiff(null, 0)).toHaveLength(1);
  });

  it("escapes what pointers use themselves", () => {
    expect(pointerOf(["a/b", "c~d", 0])).toBe("/a~1b/c~0d/0");
    expect(pointerOf([])).toBe("");
  });
});

describe("textDiff", () => {
  it("marks words", () => {
    expect(textDiff("the red fox", "the brown fox")).toEqual([
      { kind: "same", text: "the " },
      { kind: "removed", text: "red" },
      { kind: "added", text: "brown" },
      { kind: "same", text: " fox" },
    ]);
  });

  it("knows equal and empty texts", () => {
    expect(textDiff("a", "a")).toEqual([{ kind: "same", text: "a" }]);
    expect(textDiff("", "")).toEqual([]);
    expect(textDiff("", "new")).toEqual([{ kind: "added", text: "new" }]);
  });

  it("keeps both texts whole where words would take too long", () => {
    const [before, after] = ["a ".repeat(40_000), "b ".repeat(40_000)];
    expect(textDiff(before, after)).toEqual([
      { kind: "removed", text: before },
      { kind: "added", text: after },
    ]);
  });
});
