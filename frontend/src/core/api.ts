/** Calls of the native API, typed. Not responsible for reading streams: those are handed out as responses. */

import type { Fetch } from "./client";
import { newId } from "./ids";
import { ApiError, errorOf } from "./problem";
import { type Shape, type Shaped, shaped } from "./shape";
import {
  AGENT,
  type AgentView,
  BRANCHED,
  type BranchedView,
  CHECKPOINT,
  type CheckpointView,
  INFO,
  type InfoView,
  MESSAGE,
  type MessageView,
  type Page,
  pageOf,
  RUN,
  type RunView,
  SESSION,
  type SessionView,
} from "./views";

export type { Fetch } from "./client";

export interface ChatRequest {
  readonly agent_id: string;
  readonly message: string;
  readonly run_id: string;
  readonly session_id?: string;
  readonly branch_id?: string;
}

export interface Modifications {
  readonly system_prompt?: string;
  readonly modified_query?: string;
  readonly model?: string;
  readonly max_steps?: number;
}

export interface Decision {
  readonly decision: "approve" | "reject";
  readonly note?: string;
  readonly arguments?: unknown;
}

export interface Resume {
  /** Tool calls of unknown outcome that shall be made again. */
  readonly retry_tools?: readonly string[];
}

interface Call {
  readonly method?: "GET" | "POST";
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

const PAGE = 100;
/** Pages of a conversation that are read at most; older messages stay on the server. */
const MAX_PAGES = 20;

const at = (...parts: string[]) => parts.map((part) => `/${encodeURIComponent(part)}`).join("");

export class AgioApi {
  constructor(
    private readonly fetch: Fetch = (url, init) => globalThis.fetch(url, init),
    private readonly base = "/api",
  ) {}

  info(): Promise<InfoView> {
    return this.one(INFO, "/info");
  }

  async agents(): Promise<readonly AgentView[]> {
    return (await this.page(AGENT, `/agents?limit=${PAGE}`)).items;
  }

  sessions(): Promise<Page<SessionView>> {
    return this.page(SESSION, "/sessions?limit=50");
  }

  /** Returns the newest runs of a session, newest first. */
  async runsOfSession(sessionId: string): Promise<readonly RunView[]> {
    const query = new URLSearchParams({ session_id: sessionId, limit: "50" });
    return (await this.page(RUN, `/runs?${query}`)).items;
  }

  run(runId: string): Promise<RunView> {
    return this.one(RUN, at("runs", runId));
  }

  /** Returns the conversation up to the run's last checkpoint, oldest message first; empty before its first. */
  messages(runId: string): Promise<readonly MessageView[]> {
    return this.allMessages(`${at("runs", runId, "messages")}?`);
  }

  /** Returns the conversation on a branch, oldest message first. */
  branchMessages(sessionId: string, branchId: string): Promise<readonly MessageView[]> {
    return this.allMessages(
      `${at("sessions", sessionId, "messages")}?${new URLSearchParams({ branch_id: branchId })}&`,
    );
  }

  /** Returns the run's last checkpoints in the order in which they were made, and how many there are in all. */
  async checkpoints(runId: string): Promise<Page<CheckpointView>> {
    const path = `${at("runs", runId, "checkpoints")}?limit=${PAGE}`;
    const first = await this.page(CHECKPOINT, path);
    return first.hasMore ? this.page(CHECKPOINT, `${path}&offset=${first.total - PAGE}`) : first;
  }

  async pause(runId: string): Promise<void> {
    await this.send(at("runs", runId, "pause"), {});
  }

  async resume(runId: string, body: Resume = {}): Promise<void> {
    await this.send(at("runs", runId, "resume"), body);
  }

  async cancel(runId: string): Promise<void> {
    await this.send(at("runs", runId, "cancel"), {});
  }

  async retry(runId: string): Promise<void> {
    await this.send(at("runs", runId, "retry"), {});
  }

  async decide(approvalId: string, decision: Decision): Promise<void> {
    await this.send(at("approvals", approvalId), decision);
  }

  /** Continues from the checkpoint in a new run; the run that it belongs to stays as it is. */
  restore(checkpointId: string): Promise<BranchedView> {
    return this.branch(at("checkpoints", checkpointId, "restore"), { create_new_run: true });
  }

  fork(checkpointId: string, modifications: Modifications): Promise<BranchedView> {
    return this.branch(at("checkpoints", checkpointId, "fork"), { modifications });
  }

  /** Starts a run; the answer is its stream. The same key again re-attaches to the same run. */
  openChat(
    request: ChatRequest,
    key: string,
    lastEventId: string | null,
    signal: AbortSignal,
  ): Promise<Response> {
    const headers = { "Idempotency-Key": key, ...streamHeaders(lastEventId) };
    return this.raw("/chat", { method: "POST", body: { ...request, stream: true }, headers, signal });
  }

  /** Starts a run; the same key again is the same run. */
  async startRun(request: ChatRequest, key: string): Promise<void> {
    await this.json("/runs", { method: "POST", body: request, headers: { "Idempotency-Key": key } });
  }

  /** Attaches to a run: everything after `lastEventId`, then live. */
  openEvents(runId: string, lastEventId: string | null, signal: AbortSignal): Promise<Response> {
    return this.raw(at("runs", runId, "events"), { headers: streamHeaders(lastEventId), signal });
  }

  private async allMessages(path: string): Promise<readonly MessageView[]> {
    const all: MessageView[] = [];
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const { items, hasMore } = await this.page(MESSAGE, `${path}limit=${PAGE}&offset=${page * PAGE}`);
      all.push(...items);
      if (!hasMore || items.length === 0) break;
    }
    return all;
  }

  private async branch(path: string, body: unknown): Promise<BranchedView> {
    return this.decode(BRANCHED, await this.send(path, body), path);
  }

  private async one<S extends Shape>(shape: S, path: string): Promise<Shaped<S>> {
    return this.decode(shape, await this.json(path, {}), path);
  }

  private async page<S extends Shape>(shape: S, path: string): Promise<Page<Shaped<S>>> {
    return pageOf(shape, await this.json(path, {}));
  }

  private send(path: string, body: unknown): Promise<unknown> {
    return this.json(path, { method: "POST", body, headers: { "Idempotency-Key": newId() } });
  }

  private decode<S extends Shape>(shape: S, body: unknown, path: string): Shaped<S> {
    const view = shaped(shape, body);
    if (view === null) throw new ApiError(`The answer of ${path} is not understood.`, 200, "bad_view", false);
    return view;
  }

  private async json(path: string, call: Call): Promise<unknown> {
    const response = await this.raw(path, call);
    if (!response.ok) throw await errorOf(response);
    if (response.status === 204) return null;
    return response.json().catch(() => null);
  }

  private raw(path: string, { method = "GET", body, headers, signal }: Call): Promise<Response> {
    const sent: Record<string, string> = body === undefined ? {} : { "Content-Type": "application/json" };
    return this.fetch(`${this.base}${path}`, {
      method,
      headers: { Accept: "application/json", ...sent, ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "same-origin",
      signal,
    });
  }
}

function streamHeaders(lastEventId: string | null): Record<string, string> {
  const accept = { Accept: "text/event-stream" };
  return lastEventId === null ? accept : { ...accept, "Last-Event-ID": lastEventId };
}
