/** What every story starts from: one server for all of them, and runs made over its API. */

import { test as base, expect, type Page } from "@playwright/test";
import type { Store } from "./database";
import { Server } from "./server";
import { Wire } from "./wire";

interface Seed {
  readonly agent_id?: string;
  readonly message: string;
  readonly session_id?: string;
}

export interface RunView {
  readonly id: string;
  readonly status: string;
  readonly session_id: string;
  readonly last_seq: number;
  readonly response: string | null;
  readonly last_checkpoint_id: string;
  readonly owner: { readonly worker: string } | null;
}

export class Agio {
  constructor(readonly server: Server) {}

  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const request = {
      method,
      headers: { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    };
    const answer = await fetch(this.server.url + path, request).catch((error: unknown) => {
      // The process that had taken the connection was killed: another one answers.
      if (method !== "GET") throw error;
      return fetch(this.server.url + path, request);
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return (text === "" ? null : JSON.parse(text)) as T;
  }

  start(seed: Seed): Promise<RunView> {
    return this.call("POST", "/api/runs", { agent_id: "assistant", ...seed });
  }

  /** Waits until the run has one of these statuses. */
  async until(runId: string, ...statuses: string[]): Promise<RunView> {
    let run = await this.call<RunView>("GET", `/api/runs/${runId}`);
    await expect
      .poll(
        async () => {
          run = await this.call<RunView>("GET", `/api/runs/${runId}`);
          return statuses.includes(run.status);
        },
        { intervals: [50, 100, 200], timeout: 30_000 },
      )
      .toBe(true);
    return run;
  }

  /** Waits until a worker has the run, other than `but`; returns its id. */
  async owner(runId: string, but = ""): Promise<string> {
    let worker = "";
    await expect
      .poll(
        async () => {
          worker = (await this.call<RunView>("GET", `/api/runs/${runId}`)).owner?.worker ?? "";
          return worker !== "" && worker !== but;
        },
        { intervals: [50, 100, 200], timeout: 30_000 },
      )
      .toBe(true);
    return worker;
  }

  async finished(message: string, session_id?: string): Promise<RunView> {
    const run = await this.start({ message, ...(session_id === undefined ? {} : { session_id }) });
    return this.until(run.id, "completed");
  }
}

/** Every request that a page makes, and every refusal of its content policy. */
export class Witness {
  readonly foreign: string[] = [];
  readonly violations: string[] = [];
  readonly errors: string[] = [];

  constructor(page: Page, origins: readonly string[]) {
    page.on("request", (request) => {
      const url = request.url();
      if (![...origins, "blob:"].some((origin) => url.startsWith(origin))) this.foreign.push(url);
    });
    page.on("console", (message) => {
      if (/Content Security Policy/i.test(message.text())) this.violations.push(message.text());
    });
    page.on("pageerror", (error) => this.errors.push(String(error)));
  }
}

interface Story {
  readonly agio: Agio;
  readonly witness: Witness;
  /** The network in between, for stories that cut it; `baseURL` leads through it. */
  readonly wire: Wire;
}

interface Stage {
  readonly store: Store;
  readonly server: Server;
  readonly wires: Wire;
}

export const test = base.extend<Story, Stage>({
  store: ["sqlite", { scope: "worker", option: true }],
  server: [
    async ({ store }, use) => {
      const server = new Server(store, Number(process.env.AGIO_UI_WORKERS ?? 4));
      try {
        await server.start();
        if (server.missing !== null) warn(`STORIES ON ${store} SKIPPED: ${server.missing}`);
        await use(server);
      } finally {
        await server.stop();
      }
    },
    { scope: "worker", timeout: 90_000 },
  ],
  wires: [
    async ({ server }, use) => {
      const wire = new Wire(server.port);
      await wire.open();
      await use(wire);
      await wire.close();
    },
    { scope: "worker" },
  ],
  wire: async ({ wires }, use) => {
    wires.turn("fair");
    await use(wires);
    wires.turn("fair");
  },
  agio: async ({ server }, use) => {
    test.skip(server.missing !== null, server.missing ?? "");
    await use(new Agio(server));
  },
  baseURL: async ({ wires }, use) => use(wires.url),
  // Every story ends with the same promise: nothing left the origin, nothing broke.
  witness: [
    async ({ page, wires }, use) => {
      const witness = new Witness(page, [wires.url]);
      await use(witness);
      expect(witness.foreign).toEqual([]);
      expect(witness.violations).toEqual([]);
      expect(witness.errors).toEqual([]);
    },
    { auto: true },
  ],
});

function warn(text: string): void {
  const line = "#".repeat(78);
  process.stderr.write(`${line}\n# ${text}\n${line}\n`);
}

export { expect };
