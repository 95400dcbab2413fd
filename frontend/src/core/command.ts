/** How far a command has come: sent, accepted, in effect. Pure. */

import type { RunStatus } from "./status";

export interface Issued {
  readonly name: "pause" | "resume" | "cancel" | "retry";
  /** Milliseconds since 1970, as the next one. */
  readonly sentAtMs: number;
  /** Null until the server has answered. */
  readonly acceptedAtMs: number | null;
}

export type CommandPhase = "sent" | "accepted" | "slow" | "done";

/** A command that takes longer is said to: waiting silently looks like a fault. */
export const SLOW_MS = 5_000;

const RUNS_ON: readonly RunStatus[] = ["running", "completed", "failed"];

function inEffect(name: Issued["name"], status: RunStatus): boolean {
  switch (name) {
    case "pause":
      return status === "paused" || status === "completed" || status === "failed" || status === "cancelled";
    case "cancel":
      return status === "cancelled" || status === "completed" || status === "failed";
    default:
      return RUNS_ON.includes(status);
  }
}

export function commandPhase(issued: Issued, status: RunStatus, nowMs: number): CommandPhase {
  if (issued.acceptedAtMs === null) return nowMs - issued.sentAtMs > SLOW_MS ? "slow" : "sent";
  if (inEffect(issued.name, status)) return "done";
  return nowMs - issued.acceptedAtMs > SLOW_MS ? "slow" : "accepted";
}
