/** Keeps the state of one run up to date from its stream. Not responsible for history, commands or the URL. */

import { type Announcement, announce } from "../../core/announce";
import type { AgioApi, ChatRequest } from "../../core/api";
import { type Batch, batched } from "../../core/batch";
import type { RunEvent } from "../../core/events";
import { type FollowOptions, followRun } from "../../core/follow";
import { applyEvents } from "../../core/reduce";
import { newRunState, type RunState } from "../../core/run-state";
import type { Connection, StreamEnd } from "../../core/stream";

/** Markdown is parsed again at most 20 times a second. */
const FLUSH_MS = 50;

export type Timing = Pick<FollowOptions, "sleep" | "random" | "stallMs" | "lingerMs">;
export type Follow = (options: FollowOptions) => Promise<StreamEnd>;

export interface FollowerHandlers {
  onRun(run: RunState, said: Announcement | null): void;
  onConnection(connection: Connection): void;
  onEnd(end: StreamEnd): void;
}

export class RunFollower {
  private run: RunState;
  private known = 0;
  private stopping = new AbortController();
  private readonly batch: Batch<RunEvent>;

  constructor(
    private readonly api: AgioApi,
    readonly runId: string,
    private readonly handlers: FollowerHandlers,
    private readonly timing: Timing = {},
    private readonly followBy: Follow = followRun,
  ) {
    this.run = newRunState(runId);
    this.batch = batched(FLUSH_MS, (events) => this.apply(events));
  }

  get state(): RunState {
    return this.run;
  }

  /** Events up to this number are old news: they are shown, but not announced. */
  silenceThrough(seq: number): void {
    this.known = Math.max(this.known, seq);
  }

  /** Starts the run (`start` is set), or attaches to it behind the last event seen. */
  follow(start?: ChatRequest): void {
    this.stopping.abort();
    const stopping = new AbortController();
    this.stopping = stopping;
    const mine = () => this.stopping === stopping && !stopping.signal.aborted;
    const { api, runId, timing, handlers } = this;
    void this.followBy({
      ...timing,
      api,
      runId,
      start,
      after: this.run.lastSeq,
      signal: stopping.signal,
      onEvent: (event) => {
        if (mine()) this.batch.add(event);
      },
      onRewind: () => {
        this.batch.clear();
        this.silenceThrough(this.run.lastSeq);
        this.run = newRunState(runId);
      },
      onConnection: (connection) => {
        if (mine()) handlers.onConnection(connection);
      },
    }).then((end) => {
      if (!mine()) return;
      this.batch.flush();
      handlers.onEnd(end);
    });
  }

  stop(): void {
    this.stopping.abort();
    this.batch.clear();
  }

  private apply(events: readonly RunEvent[]): void {
    this.run = applyEvents(this.run, events);
    const news = events.filter((event) => event.seq > this.known);
    this.handlers.onRun(this.run, announce(news));
  }
}
