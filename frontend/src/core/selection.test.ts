import { describe, expect, it } from "vitest";
import { NOTHING, sameSelection, searchOf, selectionOf } from "./selection";

describe("the selection in the URL", () => {
  it.each([
    ["", NOTHING],
    ["?session=s1", { sessionId: "s1", runId: null }],
    ["?run=r1", { sessionId: null, runId: "r1" }],
    ["?session=s1&run=r1", { sessionId: "s1", runId: "r1" }],
  ])("%j goes both ways", (search, selection) => {
    expect(selectionOf(search)).toEqual(selection);
    expect(searchOf(selection)).toBe(search);
  });

  it("takes an empty value for none, and ignores what it does not know", () => {
    expect(selectionOf("?session=&run=&theme=dark")).toEqual(NOTHING);
  });

  it("keeps ids that need escaping", () => {
    const odd = { sessionId: "a&b=c/ü", runId: "r 1" };
    expect(selectionOf(searchOf(odd))).toEqual(odd);
  });
});

describe("sameSelection", () => {
  it("compares both ids", () => {
    const selection = { sessionId: "s1", runId: "r1" };
    expect(sameSelection(selection, { ...selection })).toBe(true);
    expect(sameSelection(selection, { ...selection, runId: null })).toBe(false);
    expect(sameSelection(selection, { ...selection, sessionId: "s2" })).toBe(false);
  });
});
