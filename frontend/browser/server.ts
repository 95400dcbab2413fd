/** A real server for the suite: uvicorn with several workers on a database of its own, ended whatever happens. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Database, type Store } from "./database";

export const ROOT = resolve(import.meta.dirname, "../..");

/** Without one, each worker would keep model keys for itself. */
const SECRET = "a-secret-of-the-browser-suite-alone-0123456789";

/** The interpreter that has Agio and what its tests need. */
export function python(): string {
  const own = join(ROOT, ".venv/bin/python");
  return process.env.AGIO_PYTHON ?? (existsSync(own) ? own : "python3");
}

export function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer();
    probe.once("error", fail);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => done(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}

export class Server {
  private process: ChildProcess | null = null;
  private readonly folder = mkdtempSync(join(tmpdir(), "agio-browser-"));
  private readonly database: Database;
  port = 0;

  constructor(
    readonly store: Store,
    readonly workers: number,
  ) {
    this.database = new Database(store, this.folder, python(), ROOT);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Why there is no such server here; null: it runs. */
  get missing(): string | null {
    return this.database.missing;
  }

  async start(): Promise<void> {
    const variables = await this.database.open();
    if (this.missing !== null) return;
    this.port = await freePort();
    const log = openSync(join(this.folder, "server.log"), "a");
    const options = ["--port", String(this.port), "--workers", String(this.workers)];
    this.process = spawn(python(), ["-m", "uvicorn", "frontend.browser.app:app", ...options], {
      cwd: ROOT,
      detached: true,
      stdio: ["ignore", log, log],
      env: {
        PATH: process.env.PATH,
        HOME: this.folder,
        PYTHONPATH: ROOT,
        AGIO_SECRET_KEY: SECRET,
        ...variables,
      },
    });
    await this.answers();
  }

  private async answers(): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (Date.now() < deadline && this.process?.exitCode === null) {
      const answer = await fetch(`${this.url}/api/health`).catch(() => null);
      // A worker answers before it has its database; once it has, it is on record there.
      if (answer?.ok && (await this.database.pids()).size >= this.workers) return;
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`the server does not answer:\n${readFileSync(join(this.folder, "server.log"), "utf8")}`);
  }

  /** Ends a worker process as a crash would; the supervisor starts another in its place. */
  async killWorker(workerId: string): Promise<void> {
    const pid = (await this.database.pids()).get(workerId);
    if (pid === undefined) throw new Error(`there is no worker ${workerId}`);
    process.kill(pid, "SIGKILL");
  }

  /** Ends every worker process but one. */
  async killOthers(workerId: string): Promise<void> {
    for (const [id, pid] of await this.database.pids()) {
      if (id !== workerId && existsSync(`/proc/${pid}`)) process.kill(pid, "SIGKILL");
    }
  }

  /** Kills every process of the server at once, as a power cut would, and removes what it kept. */
  async stop(): Promise<void> {
    const { process: child } = this;
    this.process = null;
    if (child?.pid !== undefined && child.exitCode === null) {
      const gone = new Promise((done) => child.once("exit", done));
      process.kill(-child.pid, "SIGKILL");
      await gone;
    }
    await this.database.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
