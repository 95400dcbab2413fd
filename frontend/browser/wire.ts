/**
 * The network between browser and server, which a story may cut.
 *
 * It passes everything on; `down` refuses connections and breaks those that are open, `piecemeal` ends the event
 * stream after each event. (A broken one may lose what the browser has not handed on yet; `down` and dead workers do that.)
 */

import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";

export type Weather = "fair" | "down" | "piecemeal";

export class Wire {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private weather: Weather = "fair";
  port = 0;
  /** How many event streams were opened through it, and how many are open now. */
  streams = 0;
  live = 0;

  constructor(private readonly target: number) {
    this.server = createServer((incoming, answer) => this.pass(incoming, answer));
    this.server.on("connection", (socket) => {
      if (this.weather === "down") return void socket.destroy();
      this.sockets.add(socket);
      socket.once("close", () => this.sockets.delete(socket));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  open(): Promise<void> {
    return new Promise((done) => {
      this.server.listen(0, "127.0.0.1", () => {
        const address = this.server.address();
        this.port = typeof address === "object" && address !== null ? address.port : 0;
        done();
      });
    });
  }

  turn(weather: Weather): void {
    this.weather = weather;
    if (weather === "down") for (const socket of this.sockets) socket.destroy();
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((done) => this.server.close(done));
  }

  private pass(incoming: IncomingMessage, answer: ServerResponse): void {
    const { method, url: path, headers } = incoming;
    const to = { host: "127.0.0.1", port: this.target, method, path, headers, agent: false } as const;
    const upstream = request(to, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      const streams = response.headers["content-type"]?.startsWith("text/event-stream") === true;
      if (streams) this.count(answer);
      if (streams && this.weather === "piecemeal") this.passOne(response, answer);
      else response.pipe(answer);
      response.once("error", () => answer.destroy());
    });
    upstream.once("error", () => answer.destroy());
    answer.once("close", () => upstream.destroy());
    incoming.pipe(upstream);
  }

  private count(stream: ServerResponse): void {
    this.streams += 1;
    this.live += 1;
    stream.once("close", () => {
      this.live -= 1;
    });
  }

  /** Passes on what comes up to the end of the first event, and ends the answer there. */
  private passOne(response: IncomingMessage, answer: ServerResponse): void {
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (piece: string) => {
      text += piece;
      const blocks = text.split("\n\n");
      const first = blocks.slice(0, -1).findIndex((block) => /^id: /m.test(block));
      if (first < 0) return;
      response.removeAllListeners("data");
      answer.end(`${blocks.slice(0, first + 1).join("\n\n")}\n\n`);
      response.destroy();
    });
  }
}
