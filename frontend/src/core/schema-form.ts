/** A form for the arguments of a tool, from its JSON schema. Pure. What it cannot show is written as JSON. */

import { isObject, parseJson } from "./shape";

export interface FormField {
  readonly name: string;
  readonly label: string;
  readonly description: string;
  readonly required: boolean;
  readonly kind: "text" | "number" | "integer" | "boolean" | "choice" | "json";
  readonly choices: readonly string[];
  readonly initial: string;
}

function kindOf(schema: Readonly<Record<string, unknown>>): FormField["kind"] {
  if (Array.isArray(schema.enum)) return "choice";
  switch (schema.type) {
    case "string":
      return "text";
    case "number":
    case "integer":
    case "boolean":
      return schema.type;
    default:
      return "json";
  }
}

/** An optional field is described by Pydantic as a choice of itself and null. */
function essence(schema: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const choices = Array.isArray(schema.anyOf) ? schema.anyOf.filter(isObject) : [];
  const [only, ...others] = choices.filter(({ type }) => type !== "null");
  return only !== undefined && others.length === 0 ? { ...only, ...schema } : schema;
}

export function formFields(parameters: unknown): readonly FormField[] {
  if (!isObject(parameters) || !isObject(parameters.properties)) return [];
  const required = Array.isArray(parameters.required) ? parameters.required : [];
  return Object.entries(parameters.properties).map(([name, raw]) => {
    const schema = essence(isObject(raw) ? raw : {});
    const kind = kindOf(schema);
    const fallback = schema.default;
    const initial =
      fallback === undefined || fallback === null
        ? ""
        : typeof fallback === "string"
          ? fallback
          : JSON.stringify(fallback);
    return {
      name,
      label: typeof schema.title === "string" ? schema.title : name,
      description: typeof schema.description === "string" ? schema.description : "",
      required: required.includes(name),
      kind,
      choices: kind === "choice" && Array.isArray(schema.enum) ? schema.enum.map(String) : [],
      initial,
    };
  });
}

export interface FormValue {
  readonly value: Readonly<Record<string, unknown>>;
  /** Names of fields that cannot be read. */
  readonly wrong: readonly string[];
}

/** Reads what was typed; empty optional fields are left out. The server judges the rest. */
export function readForm(fields: readonly FormField[], typed: Readonly<Record<string, string>>): FormValue {
  const value: Record<string, unknown> = {};
  const wrong: string[] = [];
  for (const { name, kind, required, initial } of fields) {
    const text = typed[name] ?? initial;
    if (text === "" && (!required || kind !== "text")) {
      if (required) wrong.push(name);
      continue;
    }
    const read = readField(kind, text);
    if (read === undefined) wrong.push(name);
    else value[name] = read;
  }
  return { value, wrong };
}

function readField(kind: FormField["kind"], text: string): unknown {
  switch (kind) {
    case "number":
    case "integer": {
      const number = Number(text);
      return Number.isFinite(number) && (kind === "number" || Number.isInteger(number)) ? number : undefined;
    }
    case "boolean":
      return text === "true" ? true : text === "false" ? false : undefined;
    case "json":
      return parseJson(text);
    default:
      return text;
  }
}
