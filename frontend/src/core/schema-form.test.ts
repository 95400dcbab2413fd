import { describe, expect, it } from "vitest";
import { formFields, readForm } from "./schema-form";

const SCHEMA = {
  type: "object",
  properties: {
    city: { type: "string", description: "Where" },
    days: { type: "integer", default: 3 },
    unit: { enum: ["C", "F"], title: "Unit" },
    exact: { type: "boolean" },
    near: { anyOf: [{ type: "number" }, { type: "null" }], default: null },
    tags: { type: "array", items: { type: "string" } },
  },
  required: ["city"],
};
const FIELDS = formFields(SCHEMA);

describe("formFields", () => {
  it("makes a field of every property", () => {
    expect(FIELDS.map(({ name, kind }) => `${name}: ${kind}`)).toEqual([
      "city: text",
      "days: integer",
      "unit: choice",
      "exact: boolean",
      "near: number",
      "tags: json",
    ]);
    expect(FIELDS[0]).toMatchObject({ required: true, description: "Where", label: "city", initial: "" });
    expect(FIELDS[1]?.initial).toBe("3");
    expect(FIELDS[2]).toMatchObject({ label: "Unit", choices: ["C", "F"] });
  });

  it("makes none of what is no object schema", () => {
    expect(formFields(null)).toEqual([]);
    expect(formFields({ type: "string" })).toEqual([]);
  });
});

describe("readForm", () => {
  it("reads what was typed, and leaves out what was not", () => {
    const typed = { city: "Oslo", exact: "true", near: "1.5", tags: '["a"]' };
    expect(readForm(FIELDS, typed)).toEqual({
      value: { city: "Oslo", days: 3, exact: true, near: 1.5, tags: ["a"] },
      wrong: [],
    });
  });

  it("names what cannot be read", () => {
    const typed = { city: "Oslo", days: "1.5", near: "x", exact: "maybe", tags: "[" };
    expect(readForm(FIELDS, typed).wrong).toEqual(["days", "exact", "near", "tags"]);
  });

  it("takes an empty text for a text, and an empty number that is needed for missing", () => {
    const fields = formFields({
      properties: { a: { type: "string" }, b: { type: "number" } },
      required: ["a", "b"],
    });
    expect(readForm(fields, {})).toEqual({ value: { a: "" }, wrong: ["b"] });
  });
});
