import { describe, expect, it } from "vitest";
import { bodyOf, changesOf, draftOf, type RecordField, valueAt, wrongIn } from "./record-form";

const FIELDS: readonly RecordField[] = [
  { name: "id", label: "Id", kind: "text", fixed: true },
  { name: "name", label: "Name", kind: "text", required: true },
  { name: "text", label: "Text", kind: "area" },
  { name: "max", label: "Max", kind: "number" },
  { name: "enabled", label: "Enabled", kind: "check", initial: "true" },
  { name: "tags", label: "Tags", kind: "names" },
  { name: "inputs", label: "Inputs", kind: "json" },
  { name: "chat.agent_id", label: "Agent", kind: "choice", initial: "assistant" },
  { name: "chat.message", label: "Message", kind: "area" },
  { name: "key", label: "Key", kind: "secret" },
];

const RECORD = {
  id: "a",
  name: "Ping",
  text: null,
  max: 3,
  enabled: false,
  tags: ["x", "y"],
  inputs: { topic: "news" },
  chat: { agent_id: "writer", message: "Hello" },
  key: "secret",
};

describe("a record as a draft", () => {
  it("has a text for every field", () => {
    expect(draftOf(FIELDS, RECORD)).toEqual({
      id: "a",
      name: "Ping",
      text: "",
      max: "3",
      enabled: "false",
      tags: "x, y",
      inputs: '{\n  "topic": "news"\n}',
      "chat.agent_id": "writer",
      "chat.message": "Hello",
      key: "",
    });
  });

  it("starts a new one with what its fields say", () => {
    const draft = draftOf(FIELDS, null);
    expect([draft.name, draft.enabled, draft["chat.agent_id"]]).toEqual(["", "true", "assistant"]);
  });

  it("shows what is not text as JSON", () => {
    expect(draftOf([{ name: "a", label: "A", kind: "text" }], { a: { b: 1 } })).toEqual({ a: '{"b":1}' });
  });

  it("finds values by dotted names, and nothing where there is none", () => {
    expect(valueAt(RECORD, "chat.message")).toBe("Hello");
    expect(valueAt({ chat: null }, "chat.message")).toBeUndefined();
  });
});

describe("what is wrong in a draft", () => {
  it("is what is missing, and what cannot be read", () => {
    const draft = { ...draftOf(FIELDS, null), max: "many", inputs: "{", name: " " };
    expect(wrongIn(FIELDS, draft)).toEqual(["name", "max", "inputs"]);
  });

  it("is nothing in the draft of a record", () => {
    expect(wrongIn(FIELDS, draftOf(FIELDS, RECORD))).toEqual([]);
  });

  it("wants an object or a list where JSON is asked for", () => {
    const fields: readonly RecordField[] = [{ name: "a", label: "A", kind: "json" }];
    expect(wrongIn(fields, { a: "3" })).toEqual(["a"]);
    expect(wrongIn(fields, { a: "[3]" })).toEqual([]);
  });
});

describe("the body of a new record", () => {
  it("leaves out what is empty, and puts dotted names into objects", () => {
    const draft = { ...draftOf(FIELDS, null), name: " Ping ", tags: "x,, y ", "chat.message": "Hello" };
    expect(bodyOf(FIELDS, draft)).toEqual({
      name: "Ping",
      enabled: true,
      tags: ["x", "y"],
      chat: { agent_id: "assistant", message: "Hello" },
    });
  });

  it("reads numbers and JSON, and keeps the lines of a text", () => {
    const draft = { name: "n", text: " a\n b ", max: "4.5", inputs: '{"a": 1}', enabled: "false" };
    expect(bodyOf(FIELDS, draft)).toEqual({
      name: "n",
      text: " a\n b ",
      max: 4.5,
      inputs: { a: 1 },
      enabled: false,
    });
  });
});

describe("the changes of a record", () => {
  const draft = draftOf(FIELDS, RECORD);

  it("are none where nothing differs", () => {
    expect(changesOf(FIELDS, draft, RECORD)).toEqual({});
  });

  it("are the fields that differ; an emptied number is null, names are none", () => {
    const changed = { ...draft, name: "Pong", max: "", tags: "", enabled: "true" };
    expect(changesOf(FIELDS, changed, RECORD)).toEqual({ name: "Pong", max: null, tags: [], enabled: true });
  });

  it("send an emptied text as empty, or as null where the server wants that", () => {
    const fields: readonly RecordField[] = [
      { name: "name", label: "Name", kind: "text" },
      { name: "model", label: "Model", kind: "text", nullable: true },
    ];
    expect(changesOf(fields, { name: "", model: "" }, { name: "a", model: "b" })).toEqual({
      name: "",
      model: null,
    });
  });

  it("send an object as a whole", () => {
    expect(changesOf(FIELDS, { ...draft, "chat.message": "Bye" }, RECORD)).toEqual({
      chat: { agent_id: "writer", message: "Bye" },
    });
  });

  it("never send what is fixed, and a secret when it is given", () => {
    expect(changesOf(FIELDS, { ...draft, id: "b", key: "new" }, RECORD)).toEqual({ key: "new" });
  });
});
