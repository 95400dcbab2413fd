import type { RunStatus } from "../core/status";
import { Icon, type IconName } from "./Icon";

const WORDS: Readonly<Record<RunStatus, string>> = {
  queued: "Queued",
  running: "Running",
  paused: "Paused",
  waiting: "Needs you",
  interrupted: "Interrupted",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
};

const ICONS: Readonly<Record<RunStatus, IconName>> = {
  queued: "queued",
  running: "running",
  paused: "paused",
  waiting: "waiting",
  interrupted: "warning",
  completed: "completed",
  failed: "failed",
  cancelled: "cancelled",
};

interface StatusProps {
  readonly status: RunStatus;
  /** Asked for and not in effect yet. */
  readonly wish?: "pause" | "cancel" | null;
}

/** A status is an icon and a word; the colour only repeats it. */
export function Status({ status, wish = null }: StatusProps) {
  const word = wish === "pause" ? "Pausing…" : wish === "cancel" ? "Stopping…" : WORDS[status];
  return (
    <span className="status" data-tone={status}>
      <Icon name={ICONS[status]} className={status === "running" ? "spinning" : ""} />
      {word}
    </span>
  );
}
