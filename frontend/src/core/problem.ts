/** Refusals of the API: RFC 9457 problem bodies as one error class. */

import { isObject, type JsonObject, parseJson, shaped, shapedList } from "./shape";

export interface FieldError {
  readonly field: string;
  readonly message: string;
}

export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    message: string,
    /** HTTP status; 0 when no answer came. */
    readonly status: number,
    /** The problem's stable code, such as `not_found`. */
    readonly code: string,
    readonly retryable: boolean,
    /** What `Retry-After` asks for. */
    readonly retryAfterMs: number | null = null,
    readonly fields: readonly FieldError[] = [],
    readonly requestId: string | null = null,
  ) {
    super(message);
  }
}

const PROBLEM = {
  type: "string?",
  title: "string?",
  detail: "json?",
  errors: "array?",
  retryable: "boolean?",
  request_id: "string?",
} as const;
const FIELD_ERROR = { field: "string", message: "string" } as const;
const RETRYABLE_STATUSES = new Set([408, 425, 429, 502, 503, 504]);

/** Reads `Retry-After`, which is a number of seconds or a date. */
export function retryAfterMs(header: string | null, nowMs: number = Date.now()): number | null {
  if (header === null || header.trim() === "") return null;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1_000);
  const at = Date.parse(header);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}

/** `detail` is text, but for 422, where it is a list of `{loc, msg}`. */
function textOfDetail(detail: unknown): string | null {
  if (typeof detail === "string" && detail !== "") return detail;
  if (!Array.isArray(detail)) return null;
  const lines = detail.filter(isObject).map((item: JsonObject) => {
    const where = Array.isArray(item.loc) ? item.loc.join(".") : "";
    return [where, String(item.msg ?? "")].filter(Boolean).join(": ");
  });
  return lines.length > 0 ? lines.join("; ") : null;
}

/** Returns the error that a refusing response describes; reads its body. */
export async function errorOf(response: Response): Promise<ApiError> {
  const body = parseJson(await response.text().catch(() => ""));
  const problem = shaped(PROBLEM, body);
  const fields = shapedList(FIELD_ERROR, problem?.errors);
  const fallback = `The server answered ${response.status}${response.statusText ? ` ${response.statusText}` : ""}.`;
  return new ApiError(
    textOfDetail(problem?.detail) ?? problem?.title ?? fallback,
    response.status,
    problem?.type ?? `http_${response.status}`,
    problem?.retryable ?? RETRYABLE_STATUSES.has(response.status),
    retryAfterMs(response.headers.get("retry-after")),
    fields,
    problem?.request_id ?? response.headers.get("x-request-id"),
  );
}

/** What to tell a person about anything that was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof ApiError) return error.message;
  if (error instanceof TypeError) return "The server could not be reached.";
  return error instanceof Error ? error.message : String(error);
}
