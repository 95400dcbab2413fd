/** A real server for the suite: uvicorn with several workers on a database of its own, ended whatever happens. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../..");

function python(): string {
  const own = join(ROOT, ".venv/bin/python");
  return process.env.AGIO_PYTHON ?? (existsSync(own) ? own : "python3");
}

function freePort(): Promise<number> {
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
  port = 0;

  constructor(
    private readonly workers: number,
    private readonly variables: Readonly<Record<string, string>> = {},
  ) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    if (this.port === 0) this.port = await freePort();
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
        AGIO_DATABASE_URL: `sqlite:///${join(this.folder, "agio.db")}`,
        ...this.variables,
      },
    });
    await this.answers();
  }

  private async answers(): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (Date.now() < deadline && this.process?.exitCode === null) {
      const answer = await fetch(`${this.url}/api/health`).catch(() => null);
      if (answer?.ok) return;
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`the server does not answer:\n${readFileSync(join(this.folder, "server.log"), "utf8")}`);
  }

  /** Kills every process of the server at once, as a power cut would. */
  async kill(): Promise<void> {
    const { process: child } = this;
    this.process = null;
    if (child?.pid === undefined || child.exitCode !== null) return;
    const gone = new Promise((done) => child.once("exit", done));
    process.kill(-child.pid, "SIGKILL");
    await gone;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
