/** Run statuses: which are ends, which are rests, and what a person may do in each. */

export const RUN_STATUSES = [
  "queued",
  "running",
  "paused",
  "waiting",
  "interrupted",
  "completed",
  "failed",
  "cancelled",
] as const;

export type RunStatus = (typeof RUN_STATUSES)[number];

export function isRunStatus(value: unknown): value is RunStatus {
  return RUN_STATUSES.some((status) => status === value);
}

/** Ended: nothing follows but a new attempt. */
export function isEnded(status: RunStatus): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/** Not ended, and no worker holds it. */
export function isResting(status: RunStatus): boolean {
  return status === "paused" || status === "waiting" || status === "interrupted";
}

export interface Controls {
  readonly pause: boolean;
  readonly resume: boolean;
  readonly cancel: boolean;
  readonly retry: boolean;
  readonly send: boolean;
}

/**
 * Says which controls a run offers. Derived from the run, never from the state of a stream: the run goes on
 * when a stream breaks, and its controls with it.
 */
export function controlsOf(
  run: { status: RunStatus; pauseRequested: boolean; cancelRequested: boolean } | null,
): Controls {
  if (run === null) return { pause: false, resume: false, cancel: false, retry: false, send: true };
  const { status } = run;
  const ended = isEnded(status);
  return {
    pause: (status === "running" || status === "queued") && !run.pauseRequested && !run.cancelRequested,
    resume: (status === "paused" || status === "interrupted") && !run.cancelRequested,
    cancel: !ended && !run.cancelRequested,
    retry: status === "failed" || status === "interrupted",
    send: ended,
  };
}
