/**
 * One event stream for any number of readers of any number of runs.
 *
 * A browser allows six connections to a server, over all its tabs; so all tabs share this one. Every reader has a
 * place of its own in its run: the stream is asked for from the earliest of them, and nobody gets an event twice.
 * Not responsible for where it lives: a shared worker, or the page itself.
 */

import { type Batch, batched } from "./batch";
import { isTerminal, seqOfId } from "./events";
import { ApiError } from "./problem";
import type { SseFrame } from "./sse";
import { type Connection, runStream, type StreamEnd, type StreamOptions } from "./stream";

export interface Reader {
  /** Frames behind the reader's place, in order. */
  onFrames(frames: readonly SseFrame[]): void;
  onConnection(connection: Connection): void;
  /** The reader's place does not exist any more: everything comes again, from the first event. */
  onRewind(): void;
  /** Nothing more comes; the reader is let go. */
  onEnd(end: StreamEnd): void;
}

export interface HubOptions extends Pick<StreamOptions, "stallMs" | "sleep" | "random"> {
  /** Opens the stream of these runs, each from behind its place. */
  open(places: ReadonlyMap<string, number>, signal: AbortSignal): Promise<Response>;
  /** Returns the number of the run's last event. @throws ApiError it cannot be read. */
  head(runId: string): Promise<number>;
  /** How long to gather readers before the stream is opened anew. */
  readonly gatherMs?: number;
  /** How long to wait after a terminal event for a new attempt. */
  readonly lingerMs?: number;
}

interface Seat {
  readonly runId: string;
  readonly reader: Reader;
  place: number;
  /** False while the open stream is already beyond the place: what it tells would leave a gap. */
  served: boolean;
  readonly batch: Batch<SseFrame>;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** Frames are handed on at most once per frame of the screen. */
const FLUSH_MS = 16;

export class Hub {
  private readonly seats = new Set<Seat>();
  private stopping: AbortController | null = null;
  private gathering: ReturnType<typeof setTimeout> | undefined;
  private connection: Connection = { phase: "connecting" };
  /** Up to where the open stream has told of each run: who stands there or behind misses nothing. */
  private covered = new Map<string, number>();

  constructor(private readonly options: HubOptions) {}

  /** Begins to read behind event `after`; returns how to stop. */
  follow(runId: string, after: number, reader: Reader): () => void {
    const batch = batched<SseFrame>(FLUSH_MS, (frames) => reader.onFrames(frames));
    const covered = this.covered.get(runId);
    const served = covered !== undefined && covered <= after;
    const seat: Seat = { runId, reader, place: after, served, batch, timer: undefined };
    this.seats.add(seat);
    if (!served) this.gather();
    else reader.onConnection(this.connection);
    return () => this.leave(seat);
  }

  private leave(seat: Seat): void {
    clearTimeout(seat.timer);
    seat.batch.clear();
    if (!this.seats.delete(seat)) return;
    if (this.seats.size === 0) this.close();
  }

  private gather(): void {
    clearTimeout(this.gathering);
    this.gathering = setTimeout(() => this.reopen(), this.options.gatherMs ?? 20);
  }

  private close(): void {
    clearTimeout(this.gathering);
    this.stopping?.abort();
    this.stopping = null;
    this.covered = new Map();
  }

  private places(): Map<string, number> {
    const places = new Map<string, number>();
    for (const { runId, place } of this.seats) {
      places.set(runId, Math.min(place, places.get(runId) ?? Number.POSITIVE_INFINITY));
    }
    return places;
  }

  private reopen(): void {
    this.close();
    if (this.seats.size === 0) return;
    const stopping = new AbortController();
    this.stopping = stopping;
    const { open, stallMs, sleep, random } = this.options;
    void runStream({
      stallMs,
      sleep,
      random,
      signal: stopping.signal,
      connect: (_, signal) => {
        this.covered = this.places();
        for (const seat of this.seats) seat.served = true;
        return open(this.covered, signal);
      },
      onFrame: (frame) => {
        if (this.stopping === stopping) this.hand(frame);
      },
      // It has no end of its own: runs may be restored, and others join.
      isTerminal: () => false,
      onConnection: (connection) => {
        if (this.stopping !== stopping) return;
        this.connection = connection;
        for (const { reader } of this.seats) reader.onConnection(connection);
      },
    }).then((end) => {
      if (this.stopping === stopping) void this.settle(end);
    });
  }

  private hand(frame: SseFrame): void {
    const seq = seqOfId(frame.id);
    const runId = frame.id?.slice(0, frame.id.lastIndexOf("/"));
    if (seq === null || runId === undefined) return;
    this.covered.set(runId, seq);
    for (const seat of this.seats) {
      if (seat.runId !== runId || !seat.served || seq <= seat.place) continue;
      seat.place = seq;
      seat.batch.add(frame);
      clearTimeout(seat.timer);
      if (isTerminal(frame.event)) {
        seat.timer = setTimeout(() => this.end(seat, { kind: "ended" }), this.options.lingerMs ?? 1_500);
      }
    }
  }

  private end(seat: Seat, end: StreamEnd): void {
    seat.batch.flush();
    this.leave(seat);
    seat.reader.onEnd(end);
  }

  /** The server refused the stream: whose run was it? */
  private async settle(end: StreamEnd): Promise<void> {
    const before = this.stopping;
    const seats = [...this.seats];
    let found = false;
    if (end.kind === "refused") {
      for (const seat of seats) found = (await this.examine(seat)) || found;
    }
    if (this.stopping !== before) return;
    if (!found) for (const seat of seats) this.end(seat, end);
    if (this.seats.size > 0) this.gather();
  }

  /** Says whether the refusal was about this seat's run; then it has been dealt with. */
  private async examine(seat: Seat): Promise<boolean> {
    try {
      if ((await this.options.head(seat.runId)) >= seat.place) return false;
      seat.batch.clear();
      seat.place = 0;
      seat.reader.onRewind();
      return true;
    } catch (error) {
      if (!(error instanceof ApiError) || error.retryable) return false;
      this.end(seat, { kind: "refused", error });
      return true;
    }
  }
}
