/** A record of the server as the texts of a form, and back. Pure; the server judges what is in them. */

import { isObject, parseJson } from "./shape";

export type FieldKind =
  /** One line. */
  | "text"
  /** Several lines. */
  | "area"
  /** Several lines of code, sent as they are. */
  | "code"
  | "number"
  | "check"
  | "choice"
  /** Names with commas between. */
  | "names"
  /** An object or a list, written as JSON. */
  | "json"
  /** Sent when it is filled in, and never shown. */
  | "secret";

export interface RecordField {
  /** Of the body; a dot leads into an object: `chat.message`. */
  readonly name: string;
  readonly label: string;
  readonly kind: FieldKind;
  readonly required?: boolean;
  /** Chosen when the record is made; not to be changed. */
  readonly fixed?: boolean;
  /** Emptied, it is sent as null; other texts are sent empty. */
  readonly nullable?: boolean;
  /** Of a choice; an empty id stands for none. */
  readonly choices?: readonly { readonly id: string; readonly word: string }[];
  /** What a new record starts with. */
  readonly initial?: string;
  readonly hint?: string;
}

export type Draft = Readonly<Record<string, string>>;

/** The value at a dotted name; undefined where there is none. */
export function valueAt(record: unknown, name: string): unknown {
  let value: unknown = record;
  for (const part of name.split(".")) value = isObject(value) ? value[part] : undefined;
  return value;
}

function textOf(value: unknown, kind: FieldKind): string {
  if (value === undefined || value === null || kind === "secret") return "";
  if (kind === "names" && Array.isArray(value)) return value.map(String).join(", ");
  if (kind === "json") return JSON.stringify(value, null, 2);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Returns the texts of a record; null: of a new one. */
export function draftOf(fields: readonly RecordField[], record: unknown): Draft {
  return Object.fromEntries(
    fields.map(({ name, kind, initial = "" }) => [
      name,
      record === null ? initial : textOf(valueAt(record, name), kind),
    ]),
  );
}

/** Names of fields that are empty and must not be, or that cannot be read. */
export function wrongIn(fields: readonly RecordField[], draft: Draft): readonly string[] {
  return fields
    .filter((field) => {
      const text = draft[field.name]?.trim() ?? "";
      if (text === "") return field.required === true && field.kind !== "check";
      return read(field.kind, text) === undefined;
    })
    .map(({ name }) => name);
}

/** Returns the body of a new record: what is empty is left out. */
export function bodyOf(fields: readonly RecordField[], draft: Draft): Readonly<Record<string, unknown>> {
  const filled = fields.filter(({ name, kind }) => kind === "check" || (draft[name]?.trim() ?? "") !== "");
  return nested(filled.map(({ name, kind }) => [name, read(kind, draft[name] ?? "")]));
}

/** Returns what differs from the record, so that two people do not undo each other. */
export function changesOf(
  fields: readonly RecordField[],
  draft: Draft,
  record: unknown,
): Readonly<Record<string, unknown>> {
  const before = draftOf(fields, record);
  const changed = fields.filter(({ name, fixed }) => fixed !== true && draft[name] !== before[name]);
  const objects = new Set(changed.map(({ name }) => name.split(".")[0] ?? name));
  // An object is replaced as a whole: what stays the same within it goes along.
  const sent = fields.filter(
    (field) =>
      changed.includes(field) || (field.name.includes(".") && objects.has(field.name.split(".")[0] ?? "")),
  );
  return nested(
    sent.map((field) => {
      const text = draft[field.name] ?? "";
      const empty = text.trim() === "" && field.kind !== "check";
      return [field.name, empty ? emptied(field) : read(field.kind, text)];
    }),
  );
}

function emptied({ kind, nullable }: RecordField): unknown {
  if (kind === "names") return [];
  return nullable === true || kind === "number" || kind === "json" ? null : "";
}

/** Undefined: it cannot be read. */
function read(kind: FieldKind, text: string): unknown {
  switch (kind) {
    case "number": {
      const number = Number(text);
      return Number.isFinite(number) ? number : undefined;
    }
    case "check":
      return text === "true";
    case "names":
      return text
        .split(",")
        .map((one) => one.trim())
        .filter(Boolean);
    case "json": {
      const value = parseJson(text);
      return typeof value === "object" && value !== null ? value : undefined;
    }
    case "area":
    case "code":
      return text;
    default:
      return text.trim();
  }
}

function nested(entries: readonly (readonly [string, unknown])[]): Readonly<Record<string, unknown>> {
  const body: Record<string, unknown> = {};
  for (const [name, value] of entries) {
    const [first = name, ...rest] = name.split(".");
    if (rest.length === 0) body[first] = value;
    else body[first] = { ...(isObject(body[first]) ? body[first] : {}), [rest.join(".")]: value };
  }
  return body;
}
