/** Calls of the API, typed by its own description: path, parameters, body and answer come from `wire.ts`. */

import { newId } from "./ids";
import { ApiError, errorOf } from "./problem";
import type { components, paths } from "./wire";

export type Schemas = components["schemas"];
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

type Method = "get" | "post" | "put" | "patch" | "delete";
type Path<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, object> ? P : never;
}[keyof paths];

type Operation<M extends Method, P extends keyof paths> = paths[P][M & keyof paths[P]];
type JsonOf<T> = T extends { content: { "application/json": infer J } } ? J : never;
type PathOptions<O> = O extends { parameters: { path: infer A } } ? { readonly path: A } : object;
type QueryOptions<O> = O extends { parameters: { query?: infer Q } } ? { readonly query?: Q } : object;
type BodyOptions<O> = O extends { requestBody: infer B }
  ? { readonly body: JsonOf<B> }
  : O extends { requestBody?: infer B }
    ? { readonly body?: JsonOf<NonNullable<B>> }
    : object;

type Options<O> = PathOptions<O> & QueryOptions<O> & BodyOptions<O> & { readonly signal?: AbortSignal };
type Answer<O> = O extends { responses: infer R } ? { [C in keyof R]: JsonOf<R[C]> }[keyof R] : never;

interface AnyOptions {
  readonly path?: Readonly<Record<string, unknown>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/** Returns the path with its names filled in and its query; what is null, undefined or empty is left out. */
export function urlOf(
  template: string,
  { path = {}, query = {} }: Pick<AnyOptions, "path" | "query">,
): string {
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(path[name])));
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== null && item !== undefined && item !== "") search.append(name, String(item));
    }
  }
  const text = search.toString();
  return text === "" ? filled : `${filled}?${text}`;
}

export class Client {
  constructor(private readonly fetch: Fetch = (url, init) => globalThis.fetch(url, init)) {}

  get<P extends Path<"get">>(
    path: P,
    options: Options<Operation<"get", P>>,
  ): Promise<Answer<Operation<"get", P>>> {
    return this.call("GET", path, options) as Promise<Answer<Operation<"get", P>>>;
  }

  /** The idempotency key is new: whoever repeats a call repeats it as another one. */
  post<P extends Path<"post">>(
    path: P,
    options: Options<Operation<"post", P>>,
  ): Promise<Answer<Operation<"post", P>>> {
    return this.call("POST", path, options) as Promise<Answer<Operation<"post", P>>>;
  }

  patch<P extends Path<"patch">>(
    path: P,
    options: Options<Operation<"patch", P>>,
  ): Promise<Answer<Operation<"patch", P>>> {
    return this.call("PATCH", path, options) as Promise<Answer<Operation<"patch", P>>>;
  }

  put<P extends Path<"put">>(
    path: P,
    options: Options<Operation<"put", P>>,
  ): Promise<Answer<Operation<"put", P>>> {
    return this.call("PUT", path, options) as Promise<Answer<Operation<"put", P>>>;
  }

  async delete<P extends Path<"delete">>(path: P, options: Options<Operation<"delete", P>>): Promise<void> {
    await this.call("DELETE", path, options);
  }

  /** @throws ApiError what the server refused; TypeError: no answer came. */
  private async call(method: string, template: string, options: AnyOptions): Promise<unknown> {
    const { body, signal } = options;
    const headers: Record<string, string> = { Accept: "application/json" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (method === "POST") headers["Idempotency-Key"] = newId();
    const response = await this.fetch(urlOf(template, options), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "same-origin",
      signal,
    });
    if (!response.ok) throw await errorOf(response);
    if (response.status === 204) return null;
    return response.json().catch(() => {
      throw new ApiError(`The answer of ${template} is not JSON.`, response.status, "bad_view", false);
    });
  }
}
