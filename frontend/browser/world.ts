/** What every story starts from: one server for all of them, and runs made over its API. */

import { test as base, expect, type Page } from "@playwright/test";
import { Server } from "./server";

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
}

export class Agio {
  constructor(readonly server: Server) {}

  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await fetch(this.server.url + path, {
      method,
      headers: { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
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

  constructor(page: Page, origin: string) {
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(origin) && !url.startsWith("blob:")) this.foreign.push(url);
    });
    page.on("console", (message) => {
      if (/Content Security Policy/i.test(message.text())) this.violations.push(message.text());
    });
    page.on("pageerror", (error) => this.errors.push(String(error)));
  }
}

export const test = base.extend<{ agio: Agio; witness: Witness }, { server: Server }>({
  server: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads the pattern
    async ({}, use) => {
      const server = new Server(Number(process.env.AGIO_UI_WORKERS ?? 2));
      await server.start();
      await use(server);
      await server.stop();
    },
    { scope: "worker", timeout: 90_000 },
  ],
  agio: async ({ server }, use) => use(new Agio(server)),
  baseURL: async ({ server }, use) => use(server.url),
  // Every story ends with the same promise: nothing left the origin, nothing broke.
  witness: [
    async ({ page, server }, use) => {
      const witness = new Witness(page, server.url);
      await use(witness);
      expect(witness.foreign).toEqual([]);
      expect(witness.violations).toEqual([]);
      expect(witness.errors).toEqual([]);
    },
    { auto: true },
  ],
});

export { expect };

export const ask = async (page: Page, text: string): Promise<void> => {
  await page.getByRole("textbox", { name: "Message" }).fill(text);
  await page.getByRole("button", { name: "Send", exact: true }).click();
};
