import type { RunStatus } from "../core/status";
import { Icon, type IconName } from "./Icon";
import { useWords } from "./words";

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
  const words = useWords().status;
  const word = wish === "pause" ? words.pausing : wish === "cancel" ? words.stopping : words[status];
  return (
    <span className="status" data-tone={status}>
      <Icon name={ICONS[status]} className={status === "running" ? "spinning" : ""} />
      {word}
    </span>
  );
}
