import { describe, expect, expectTypeOf, it } from "vitest";
import { isObject, parseJson, shaped, shapedList } from "./shape";

const BOX = { name: "string", size: "number?", open: "boolean?", parts: "array?", extra: "object?" } as const;

describe("shaped", () => {
  it("keeps the fields that the table names and drops the others", () => {
    expect(shaped(BOX, { name: "a", size: 2, colour: "red" })).toEqual({ name: "a", size: 2 });
  });

  it("refuses an object without a required field", () => {
    expect(shaped(BOX, { size: 2 })).toBeNull();
  });

  it("refuses a required field of another kind", () => {
    expect(shaped(BOX, { name: 7 })).toBeNull();
    expect(shaped({ n: "number" }, { n: Number.NaN })).toBeNull();
    expect(shaped({ o: "object" }, { o: [] })).toBeNull();
    expect(shaped({ a: "array" }, { a: {} })).toBeNull();
  });

  it("leaves out an optional field that is null, missing or of another kind", () => {
    expect(shaped(BOX, { name: "a", size: null, open: "yes", extra: [] })).toEqual({ name: "a" });
  });

  it("takes any JSON for a json field, null included", () => {
    expect(shaped({ value: "json" }, { value: null })).toEqual({ value: null });
    expect(shaped({ value: "json" }, {})).toBeNull();
  });

  it("refuses what is no object", () => {
    for (const value of [null, undefined, 1, "text", []]) expect(shaped(BOX, value)).toBeNull();
  });

  it("derives the type from the table", () => {
    const box = shaped(BOX, { name: "a" });
    expectTypeOf(box).toEqualTypeOf<{
      readonly name: string;
      readonly size: number | undefined;
      readonly open: boolean | undefined;
      readonly parts: readonly unknown[] | undefined;
      readonly extra: Readonly<Record<string, unknown>> | undefined;
    } | null>();
  });
});

describe("shapedList", () => {
  it("keeps the members that fit", () => {
    expect(shapedList(BOX, [{ name: "a" }, 1, {}, { name: "b" }])).toEqual([{ name: "a" }, { name: "b" }]);
  });

  it("reads anything else as an empty list", () => {
    expect(shapedList(BOX, { name: "a" })).toEqual([]);
    expect(shapedList(BOX, undefined)).toEqual([]);
  });
});

describe("parseJson", () => {
  it("returns undefined for what is not JSON, and null for null", () => {
    expect(parseJson("{")).toBeUndefined();
    expect(parseJson("")).toBeUndefined();
    expect(parseJson("null")).toBeNull();
    expect(parseJson('{"a":1}')).toEqual({ a: 1 });
  });
});

describe("isObject", () => {
  it("tells objects from lists and null", () => {
    expect(isObject({})).toBe(true);
    expect(isObject([])).toBe(false);
    expect(isObject(null)).toBe(false);
  });
});
