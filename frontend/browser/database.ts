/** The database behind a server: a process of its own (`database.py`), which also says who works on it. */

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";

export type Store = "sqlite" | "mongodb";

export class Database {
  private process: ChildProcess | null = null;
  private lines: Interface | null = null;
  private waiting: { done(answer: unknown): void; fail(reason: Error): void }[] = [];
  missing: string | null = null;

  constructor(
    private readonly store: Store,
    private readonly folder: string,
    private readonly python: string,
    private readonly root: string,
  ) {}

  /** Returns what names it to a server; nothing, and `missing` is set, where it cannot be had. */
  async open(): Promise<Readonly<Record<string, string>>> {
    const child = spawn(this.python, ["-m", "frontend.browser.database", this.store, this.folder], {
      cwd: this.root,
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, PYTHONPATH: this.root },
    });
    this.process = child;
    this.lines = createInterface({ input: child.stdout });
    this.lines.on("line", (line) => this.waiting.shift()?.done(JSON.parse(line)));
    child.once("exit", (code) => {
      for (const { fail } of this.waiting.splice(0))
        fail(new Error(`the ${this.store} database exited: ${code}`));
    });
    const opened = (await this.next()) as { variables?: Record<string, string>; missing?: string };
    this.missing = opened.missing ?? null;
    return opened.variables ?? {};
  }

  /** Process ids of the workers on record, by worker id; some of them may be dead. */
  async pids(): Promise<ReadonlyMap<string, number>> {
    const answer = this.next();
    this.process?.stdin?.write("\n");
    return new Map(Object.entries((await answer) as Record<string, number>));
  }

  async close(): Promise<void> {
    const { process: child } = this;
    if (child === null || child.exitCode !== null) return;
    const gone = new Promise((done) => child.once("exit", done));
    child.stdin?.end();
    await gone;
  }

  private next(): Promise<unknown> {
    return new Promise((done, fail) => this.waiting.push({ done, fail }));
  }
}
