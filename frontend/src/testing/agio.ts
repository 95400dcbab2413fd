/** An in-memory Agio for tests of the store and of the page: views by path, and streams that the test feeds. */

import type { Call, FakeServer, WireEvent } from "./wire";
import { fakeServer, json, LiveStream, numbered, pageOf, refusal, until } from "./wire";

type Answer = Response | null;

export class FakeAgio {
  readonly server: FakeServer;
  /** Streams in the order in which they were opened. */
  readonly streams: LiveStream[] = [];
  readonly runs = new Map<string, Record<string, unknown>>();
  readonly messages = new Map<string, readonly unknown[]>();
  readonly checkpoints = new Map<string, readonly unknown[]>();
  sessions: readonly unknown[] = [];
  info: Record<string, unknown> = { default_agent: "assistant", provider_configured: true };
  agents: readonly unknown[] = [
    {
      id: "assistant",
      name: "Assistant",
      model: "demo",
      system_prompt: "Be kind.",
      max_steps: 10,
      enabled: true,
    },
    { id: "researcher", name: "Researcher", model: "demo", enabled: true },
  ];
  /** Answers before everything else; undefined: the usual answer, null: a lost connection. */
  before: (call: Call) => Answer | undefined = () => undefined;

  constructor() {
    this.server = fakeServer((call) => {
      const first = this.before(call);
      return first === undefined ? this.answer(call) : first;
    });
  }

  get fetch() {
    return this.server.fetch;
  }

  get calls(): readonly Call[] {
    return this.server.calls;
  }

  /** Methods and paths of the commands so far. */
  commands(): string[] {
    return this.calls.filter(({ method }) => method === "POST").map(({ path }) => path);
  }

  /** The run id that the page chose for its `nth` message. */
  chosenId(nth = 0): string {
    const body = this.server.to("/api/chat")[nth]?.body as { run_id: string };
    return body.run_id;
  }

  stream(nth = 0): Promise<LiveStream> {
    return until(() => this.streams[nth]);
  }

  /** Adds a run that has ended or rests, as its view tells it. */
  addRun(id: string, fields: Record<string, unknown> = {}): void {
    const base = {
      id,
      status: "completed",
      session_id: "s1",
      branch_id: "b1",
      agent_id: "assistant",
      last_seq: 0,
    };
    this.runs.set(id, { ...base, created_at: "2026-01-01T12:00:00Z", ...fields });
  }

  private answer(call: Call): Answer {
    const [path = "", query = ""] = call.path.split("?");
    const [, , resource, id, what] = path.split("/").map(decodeURIComponent);
    if (path === "/api/chat" || what === "events") return this.open(call);
    if (call.method === "POST") return json({ status: "accepted" }, 202);
    if (path === "/api/info") return json(this.info);
    if (path === "/api/agents") return pageOf(this.agents);
    if (path === "/api/sessions") return pageOf(this.sessions);
    if (path === "/api/runs") return pageOf(this.runsOf(new URLSearchParams(query).get("session_id")));
    if (what === "messages") return pageOf(this.messages.get(id ?? "") ?? []);
    if (what === "checkpoints") return pageOf(this.checkpoints.get(id ?? "") ?? []);
    const run = resource === "runs" ? this.runs.get(id ?? "") : undefined;
    return run === undefined ? refusal(404, `there is no ${path}`) : json(run);
  }

  private runsOf(sessionId: string | null): unknown[] {
    return [...this.runs.values()].filter((run) => run.session_id === sessionId).reverse();
  }

  private open(call: Call): Response {
    const stream = new LiveStream(call.signal);
    this.streams.push(stream);
    return stream.response;
  }
}

/** A short story of a run: a question answered. */
export function story(answer = "Hello", sessionId = "s1"): WireEvent[] {
  return numbered([
    { type: "run_started", session_id: sessionId, branch_id: "b1", agent_id: "assistant", model: "demo" },
    { type: "step_started", step: 1 },
    { type: "content_delta", step: 1, message_id: "m1", content: answer },
    { type: "message_completed", step: 1, message_id: "m1", role: "assistant", content: answer },
    { type: "run_completed", response: answer, metrics: { steps: 1, total_tokens: 12 } },
  ]);
}
