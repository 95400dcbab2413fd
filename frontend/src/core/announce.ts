/** What a screen reader is told while a run goes on: ends, rests and questions, never the tokens. */

import type { RunEvent } from "./events";
import type { Words } from "./i18n/words";

export type Said =
  | { readonly kind: Exclude<keyof Words["said"], "approval"> }
  | { readonly kind: "approval"; readonly name: string };

export interface Announcement {
  readonly said: Said;
  /** Interrupts what is being read; for errors and for what a run waits for. */
  readonly urgent: boolean;
}

function announcementOf(event: RunEvent): Announcement | null {
  switch (event.type) {
    case "run_completed":
      return { said: { kind: "completed" }, urgent: false };
    case "run_cancelled":
      return { said: { kind: "cancelled" }, urgent: false };
    case "run_paused":
      return { said: { kind: "paused" }, urgent: false };
    case "run_resumed":
      return { said: { kind: "resumed" }, urgent: false };
    case "run_failed":
      return { said: { kind: "failed" }, urgent: true };
    case "run_interrupted":
      return { said: { kind: "interrupted" }, urgent: true };
    case "approval_required":
      return { said: { kind: "approval", name: event.name }, urgent: true };
    default:
      return null;
  }
}

/** Returns what to say about a batch of events: the last thing, or an urgent one before it. */
export function announce(events: readonly RunEvent[]): Announcement | null {
  const all = events.map(announcementOf).filter((said) => said !== null);
  return all.findLast((said) => said.urgent) ?? all.at(-1) ?? null;
}
