import { describe, expect, it } from "vitest";
import { CHECKPOINT, isDemo, isRequested, pageOf, parentOf, SESSION, textOf } from "./views";

describe("pageOf", () => {
  it("reads the list envelope", () => {
    const body = {
      items: [{ id: "s1", title: "One", extra: 1 }],
      total: 3,
      limit: 1,
      offset: 0,
      has_more: true,
    };
    expect(pageOf(SESSION, body)).toEqual({ items: [{ id: "s1", title: "One" }], total: 3, hasMore: true });
  });

  it("reads a bare list", () => {
    expect(pageOf(SESSION, [{ id: "s1" }])).toEqual({ items: [{ id: "s1" }], total: 1, hasMore: false });
  });

  it("leaves out rows that are not understood", () => {
    expect(pageOf(CHECKPOINT, { items: [{ step: 1 }, { id: "k1", label: null }] }).items).toEqual([
      { id: "k1" },
    ]);
  });

  it("is empty for anything else", () => {
    expect(pageOf(SESSION, null)).toEqual({ items: [], total: 0, hasMore: false });
    expect(pageOf(SESSION, { items: "none" })).toEqual({ items: [], total: 0, hasMore: false });
  });
});

describe("textOf", () => {
  it.each([
    ["text", "text"],
    [[{ type: "text", text: "a" }, { type: "image_url" }, "b"], "a\nb"],
    [{ message: "from the input" }, "from the input"],
    [{ content: [{ text: "deep" }] }, "deep"],
    [null, ""],
    [42, ""],
  ])("reads %j as %j", (content, text) => {
    expect(textOf(content)).toBe(text);
  });
});

describe("parentOf", () => {
  it("reads where a run came from", () => {
    const parent = { run_id: "r0", checkpoint_id: "r0.4", kind: "fork" };
    expect(parentOf({ parent })).toEqual(parent);
    expect(parentOf({ parent: undefined })).toBeNull();
    expect(parentOf({ parent: { kind: "fork" } })).toBeNull();
  });
});

describe("isRequested", () => {
  it("takes a flag or an object that says who asked", () => {
    expect([true, { by: "ann" }].every(isRequested)).toBe(true);
    expect([false, null, undefined, "yes", []].some(isRequested)).toBe(false);
  });
});

describe("isDemo", () => {
  it("believes what the server says, and else goes by whether a provider is configured", () => {
    expect(isDemo({ demo: true, provider_configured: false })).toBe(true);
    expect(isDemo({ demo: false, provider_configured: false })).toBe(false);
    expect(isDemo({ demo: undefined, provider_configured: false })).toBe(true);
    expect(isDemo({ demo: undefined, provider_configured: true })).toBe(false);
    expect(isDemo(null)).toBe(false);
  });
});
