/**
 * Checks JSON from the wire against a table of fields, and derives the TypeScript type from the same table.
 *
 * A required field that is missing or of another kind refuses the whole object; an optional one is left out.
 * Fields that the table does not name are dropped, so a newer server never surprises the code behind.
 */

export type JsonObject = Readonly<Record<string, unknown>>;

interface Kinds {
  string: string;
  number: number;
  boolean: boolean;
  object: JsonObject;
  array: readonly unknown[];
  json: unknown;
}

export type Kind = keyof Kinds | `${keyof Kinds}?`;
export type Shape = Readonly<Record<string, Kind>>;

type FieldOf<K extends Kind> = K extends `${infer N extends keyof Kinds}?`
  ? Kinds[N] | undefined
  : K extends keyof Kinds
    ? Kinds[K]
    : never;

export type Shaped<S extends Shape> = { readonly [K in keyof S]: FieldOf<S[K]> };

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isKind(kind: string, value: unknown): boolean {
  switch (kind) {
    case "json":
      return value !== undefined;
    case "object":
      return isObject(value);
    case "array":
      return Array.isArray(value);
    case "number":
      return typeof value === "number" && Number.isFinite(value);
    default:
      return typeof value === kind;
  }
}

/** Returns the fields of `value` that `shape` names, or null when `value` does not have that shape. */
export function shaped<S extends Shape>(shape: S, value: unknown): Shaped<S> | null {
  if (!isObject(value)) return null;
  const fields: Record<string, unknown> = {};
  for (const [name, kind] of Object.entries(shape)) {
    const optional = kind.endsWith("?");
    const field = value[name];
    if (isKind(optional ? kind.slice(0, -1) : kind, field)) fields[name] = field;
    else if (!optional) return null;
  }
  // The loop above has checked every field; the compiler cannot follow it through the mapped type.
  return fields as Shaped<S>;
}

/** Returns the members of a list that have `shape`; anything that is no list is an empty one. */
export function shapedList<S extends Shape>(shape: S, value: unknown): readonly Shaped<S>[] {
  if (!Array.isArray(value)) return [];
  return value.map((item) => shaped(shape, item)).filter((item) => item !== null);
}

/** Returns what `source` says, or undefined when it is not JSON. */
export function parseJson(source: string): unknown {
  try {
    return JSON.parse(source) as unknown;
  } catch {
    return undefined;
  }
}
