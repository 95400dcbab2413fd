/** "Copy as": an action of the page as a command for a shell or a script. Pure. */

export interface Action {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path under the origin, query included. */
  readonly path: string;
  readonly body?: unknown;
}

/** Names of fields whose text nobody else may see. */
const SECRET = /^(password|.*secret|.*token|(.*[_-])?api[_-]?key|authorization)$/i;

/** The body with a mark in place of each secret: what is copied lies about, and whoever runs it fills it in. */
export function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      typeof field === "string" && SECRET.test(name) ? "…" : withoutSecrets(field),
    ]),
  );
}

/** `'` ends a quoted text in a shell; what is in between is taken as it is. */
const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** The key stays out of it: the variable stands for whatever credential there is. */
export function asCurl({ method, path, body }: Action, origin: string): string {
  const lines = [`curl -X ${method} ${quoted(origin + path)}`, `-H "X-API-Key: $AGIO_API_KEY"`];
  if (body !== undefined) {
    lines.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(withoutSecrets(body)))}`);
  }
  return lines.join(" \\\n  ");
}

export function asPython({ method, path, body }: Action, origin: string): string {
  const extra = body === undefined ? "" : `\n    json=${pythonOf(withoutSecrets(body))},`;
  return [
    "import os",
    "import httpx",
    "",
    "answer = httpx.request(",
    `    ${pythonOf(method)},`,
    `    ${pythonOf(origin + path)},`,
    `    headers={"X-API-Key": os.environ.get("AGIO_API_KEY", "")},${extra}`,
    ")",
    "answer.raise_for_status()",
    "print(answer.json())",
  ].join("\n");
}

/** The server's own program; it takes the key from the environment. */
export function asCli({ method, path, body }: Action, origin: string): string {
  const lines = [`agio call ${method} ${quoted(path)}`, `--url ${quoted(origin)}`];
  if (body !== undefined) lines.push(`--json ${quoted(JSON.stringify(withoutSecrets(body)))}`);
  return lines.join(" \\\n  ");
}

/** JSON as a Python literal. */
export function pythonOf(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(pythonOf).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value)
      .map(([key, field]) => `${JSON.stringify(key)}: ${pythonOf(field)}`)
      .join(", ")}}`;
  }
  return JSON.stringify(value);
}
