/** What a screen reader is told while a run goes on: ends, rests and questions, never the tokens. */

import type { RunEvent } from "./events";

export interface Announcement {
  readonly text: string;
  /** Interrupts what is being read; for errors and for what a run waits for. */
  readonly urgent: boolean;
}

function announcementOf(event: RunEvent): Announcement | null {
  switch (event.type) {
    case "run_completed":
      return { text: "Answer complete.", urgent: false };
    case "run_cancelled":
      return { text: "Run stopped.", urgent: false };
    case "run_paused":
      return { text: "Run paused.", urgent: false };
    case "run_resumed":
      return { text: "Run resumed.", urgent: false };
    case "run_failed":
      return { text: "The run failed.", urgent: true };
    case "run_interrupted":
      return { text: "The run was interrupted.", urgent: true };
    case "approval_required":
      return { text: `Approval needed for ${event.name}.`, urgent: true };
    default:
      return null;
  }
}

/** Returns what to say about a batch of events: the last thing, or an urgent one before it. */
export function announce(events: readonly RunEvent[]): Announcement | null {
  const all = events.map(announcementOf).filter((said) => said !== null);
  return all.findLast((said) => said.urgent) ?? all.at(-1) ?? null;
}
