/**
 * The page's one store: which conversation and run are shown, and what a person does to them.
 *
 * Framework-free; views read it through `subscribe` and `snapshot`. Runs live on the server: leaving, opening or
 * reloading never stops one, only `cancel` does.
 */

import type { AgioApi, Decision, Modifications } from "../../core/api";
import { factsOf, type RunFacts } from "../../core/facts";
import { newId } from "../../core/ids";
import { ApiError, messageOf } from "../../core/problem";
import { type Selection, sameSelection } from "../../core/selection";
import { isEnded, type RunStatus } from "../../core/status";
import type { StreamEnd } from "../../core/stream";
import { freeze, historyOf, threadOf, typedQuestion } from "../../core/thread";
import type { BranchedView, MessageView } from "../../core/views";
import { type ChatState, EMPTY, placeOf } from "./chat-state";
import { type Follow, RunFollower, type Timing } from "./run-follower";

/** How often a cancel that overtook its own run's start is sent again, and how long apart. */
const EARLY_CANCEL = { tries: 40, gapMs: 150 };

export class ChatStore {
  private state = EMPTY;
  private follower: RunFollower | null = null;
  /** Counts openings; an answer that belongs to an earlier one is dropped. */
  private visit = 0;
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly api: AgioApi,
    /** Puts a selection into the URL. */
    private readonly onSelect: (selection: Selection, how: "push" | "replace") => void,
    private readonly timing: Timing = {},
    private readonly followBy?: Follow,
  ) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly snapshot = (): ChatState => this.state;

  setDraft(draft: string): void {
    this.set({ draft });
  }

  dismissProblem(): void {
    this.set({ problem: null });
  }

  /** Shows what the URL names; does nothing when it is shown already. */
  async open(selection: Selection): Promise<void> {
    const { sessionId, runId } = selection;
    if (sameSelection(selection, this.state.selection)) return;
    this.leave();
    const { draft, revision } = this.state;
    const { visit } = this;
    this.set({
      ...EMPTY,
      draft,
      revision: revision + 1,
      selection,
      loading: runId !== null || sessionId !== null,
    });
    try {
      if (runId !== null) await this.openRun(runId, visit);
      else if (sessionId !== null) await this.openSession(sessionId, visit);
    } catch (error) {
      if (this.visit === visit) this.set({ loading: false, problem: messageOf(error) });
    }
  }

  /** Lets go of the stream; the run goes on. */
  close(): void {
    this.leave();
  }

  /** Sends a message: the next turn of the shown conversation, or the first one of a new one. */
  send(text: string, agentId: string): void {
    const message = text.trim();
    const { selection, history, run } = this.state;
    if (message === "" || agentId === "") return;
    this.leave();
    const before = freeze(threadOf(history, run), run?.runId ?? "");
    const place = placeOf(this.state);
    const runId = newId();
    const next = { sessionId: selection.sessionId, runId };
    const follower = this.makeFollower(runId, message);
    this.set({
      ...EMPTY,
      revision: this.state.revision,
      selection: next,
      history: [...before, typedQuestion(runId, message)],
      run: follower.state,
      connection: { phase: "connecting" },
    });
    this.onSelect(next, "push");
    follower.follow({ agent_id: agentId, message, run_id: runId, ...place });
  }

  /** Keeps a message until the run has ended; it is shown as waiting, and can be taken back. */
  queue(text: string, agentId: string): void {
    if (text.trim() === "" || this.state.queued !== null) return;
    this.set({ queued: { text: text.trim(), agentId }, draft: "" });
  }

  unqueue(): void {
    const { queued, draft } = this.state;
    if (queued !== null) this.set({ queued: null, draft: draft === "" ? queued.text : draft });
  }

  pause(): Promise<boolean> {
    return this.command("pause", (runId) => this.api.pause(runId));
  }

  resume(): Promise<boolean> {
    return this.command("resume", (runId) => this.api.resume(runId));
  }

  cancel(): Promise<boolean> {
    return this.command("cancel", (runId) => this.cancelEvenEarly(runId));
  }

  /** Runs tools again whose outcome a crash made unknown. */
  rerunTools(callIds: readonly string[]): Promise<boolean> {
    return this.command("resume", (runId) => this.api.resume(runId, { retry_tools: callIds }));
  }

  retry(): Promise<boolean> {
    return this.command("retry", async (runId) => {
      await this.api.retry(runId);
      if (this.state.connection === null) this.follower?.follow();
    });
  }

  decide(approvalId: string, decision: Decision): Promise<boolean> {
    return this.command(`decide ${approvalId}`, () => this.api.decide(approvalId, decision));
  }

  /** Goes on from a checkpoint in a new run, and shows that; says whether the server agreed. */
  restore(checkpointId: string): Promise<boolean> {
    return this.branch("restore", () => this.api.restore(checkpointId));
  }

  /** As `restore`, with something changed. */
  fork(checkpointId: string, modifications: Modifications): Promise<boolean> {
    return this.branch("fork", () => this.api.fork(checkpointId, modifications));
  }

  private async openRun(runId: string, visit: number): Promise<void> {
    const facts = factsOf(await this.api.run(runId));
    // A run whose history cannot be read can still be watched and steered.
    const messages = await this.messagesOf(facts).catch((error: unknown) => messageOf(error));
    if (this.visit !== visit) return;
    const follower = this.makeFollower(runId, null);
    follower.silenceThrough(facts.lastSeq ?? 0);
    const connection = { phase: "connecting" } as const;
    const told =
      typeof messages === "string"
        ? { problem: messages }
        : { history: historyOf(messages, runId, facts.input) };
    this.set({ ...told, facts, run: follower.state, loading: false, connection });
    this.nameSession(facts.sessionId);
    follower.follow();
  }

  /** A run that has just begun has no checkpoint, and so no conversation of its own: its branch has. */
  private async messagesOf({ runId, sessionId, branchId }: RunFacts): Promise<readonly MessageView[]> {
    const own = await this.api.messages(runId);
    if (own.length > 0 || sessionId === null || branchId === null) return own;
    return this.api.branchMessages(sessionId, branchId);
  }

  private async openSession(sessionId: string, visit: number): Promise<void> {
    const [latest] = await this.api.runsOfSession(sessionId);
    if (this.visit !== visit) return;
    if (latest === undefined) {
      this.set({ loading: false });
      return;
    }
    const found = { sessionId, runId: latest.id };
    this.set({ selection: found });
    this.onSelect(found, "replace");
    await this.openRun(latest.id, visit);
  }

  /** `question` is set when this page starts the run: what was typed, to be given back on a refusal. */
  private makeFollower(runId: string, question: string | null): RunFollower {
    const follower: RunFollower = new RunFollower(
      this.api,
      runId,
      {
        onRun: (run, said) => {
          // With its first event a run stands in the lists.
          const revision = this.state.revision + (this.state.run?.lastSeq === 0 ? 1 : 0);
          this.set(said === null ? { run, revision } : { run, revision, said });
          this.nameSession(run.sessionId);
        },
        onConnection: (connection) => this.set({ connection }),
        onEnd: (end) => this.finish(follower, end, question),
      },
      this.timing,
      this.followBy,
    );
    this.follower = follower;
    return follower;
  }

  private finish(follower: RunFollower, end: StreamEnd, question: string | null): void {
    this.set({ connection: null, revision: this.state.revision + 1 });
    if (end.kind !== "refused") {
      void this.refresh(follower.runId);
      this.sendQueued(follower.state.status);
    } else if (question !== null && follower.state.lastSeq === 0) {
      this.takeBack(question, end.error.message);
    } else {
      this.set({ problem: end.error.message });
    }
  }

  /** A message that waited for an answer goes on; after a stop or a failure a person decides again. */
  private sendQueued(status: RunStatus): void {
    const { queued } = this.state;
    if (queued === null || !isEnded(status)) return;
    if (status !== "completed") {
      this.unqueue();
      return;
    }
    const { draft } = this.state;
    this.send(queued.text, queued.agentId);
    this.set({ draft });
  }

  /** The server did not accept the message: there is no run, and what was typed goes back to where it was typed. */
  private takeBack(question: string, problem: string): void {
    this.follower = null;
    const back = { sessionId: this.state.selection.sessionId, runId: null };
    this.set({
      run: null,
      history: this.state.history.slice(0, -1),
      draft: this.state.draft === "" ? question : this.state.draft,
      problem,
      selection: back,
    });
    this.onSelect(back, "replace");
  }

  /** The server names the session of a new conversation with the first event. */
  private nameSession(sessionId: string | null): void {
    const { selection } = this.state;
    if (sessionId === null || selection.sessionId === sessionId) return;
    const named = { ...selection, sessionId };
    this.set({ selection: named });
    this.onSelect(named, "replace");
  }

  private async command(name: string, run: (runId: string) => Promise<void>): Promise<boolean> {
    const { runId } = this.state.selection;
    const { visit } = this;
    if (runId === null || this.state.command !== null) return false;
    this.set({ command: name, problem: null });
    try {
      await run(runId);
      await this.refresh(runId);
      return true;
    } catch (error) {
      if (this.visit === visit) this.set({ problem: messageOf(error) });
      return false;
    } finally {
      if (this.visit === visit) this.set({ command: null });
    }
  }

  private async branch(name: string, ask: () => Promise<BranchedView>): Promise<boolean> {
    const { visit } = this;
    let made: string | undefined;
    const agreed = await this.command(name, async () => {
      const view = await ask();
      made = view.new_run_id ?? view.run_id;
    });
    if (made !== undefined && this.visit === visit) {
      const selection = { sessionId: null, runId: made };
      this.onSelect(selection, "push");
      void this.open(selection);
    }
    return agreed;
  }

  /** The page chose the run's id, so a stop can reach the server before the start has: then it is sent again. */
  private async cancelEvenEarly(runId: string): Promise<void> {
    const { sleep } = this.timing;
    const signal = new AbortController().signal;
    const wait = sleep ?? ((ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)));
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.api.cancel(runId);
      } catch (error) {
        const unknown = error instanceof ApiError && error.status === 404;
        const starting = this.follower?.runId === runId && this.follower.state.lastSeq === 0;
        if (!unknown || !starting || tries >= EARLY_CANCEL.tries) throw error;
        await wait(EARLY_CANCEL.gapMs, signal);
      }
    }
  }

  /** Reads the run's view: what was asked of it, and where it stands when no stream tells. */
  private async refresh(runId: string): Promise<void> {
    const view = await this.api.run(runId).catch(() => null);
    if (view !== null && this.state.selection.runId === runId) this.set({ facts: factsOf(view) });
  }

  private leave(): void {
    this.visit += 1;
    this.follower?.stop();
    this.follower = null;
  }

  private set(change: Partial<ChatState>): void {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener();
  }
}
