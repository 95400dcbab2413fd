/** Builds and serves the bare list (`bare/`). */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";

const TYPES: Readonly<Record<string, string>> = { html: "text/html", js: "text/javascript", css: "text/css" };

export class BareList {
  private readonly folder = mkdtempSync(join(tmpdir(), "agio-bare-"));
  private server: Server | null = null;
  url = "";

  async start(): Promise<void> {
    await build({
      configFile: false,
      root: join(import.meta.dirname, "bare"),
      logLevel: "warn",
      build: { outDir: this.folder, emptyOutDir: true },
    });
    const server = createServer((request, answer) => {
      const name = request.url === "/" || request.url === undefined ? "/index.html" : request.url;
      try {
        const body = readFileSync(join(this.folder, name));
        answer.writeHead(200, { "Content-Type": TYPES[name.split(".").at(-1) ?? ""] ?? "text/plain" });
        answer.end(body);
      } catch {
        answer.writeHead(404).end();
      }
    });
    this.server = server;
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const address = server.address();
    this.url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/`;
  }

  stop(): void {
    this.server?.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
