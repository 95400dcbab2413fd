import { clock, count } from "../core/format";
import type { CheckpointView } from "../core/views";
import { Button } from "./Button";

/** What the kinds of checkpoints mean to a person. */
const KINDS: Readonly<Record<string, string>> = {
  input: "Question",
  step: "Step",
  stop: "Stopped",
  final: "Answer",
};

function titleOf({ kind, step, label }: CheckpointView): string {
  const word = KINDS[kind ?? "step"] ?? kind ?? "Step";
  const at = word === "Step" ? `Step ${step}` : `${word} · step ${step}`;
  const base = step === undefined || kind === "input" ? word : at;
  return label === undefined || label === "" ? base : `${label} (${base.toLowerCase()})`;
}

function metaOf({ created_at, message_count, superseded }: CheckpointView): string {
  const messages =
    message_count === undefined ? "" : `${count(message_count)} message${message_count === 1 ? "" : "s"}`;
  return [clock(created_at), messages, superseded ? "superseded" : ""].filter(Boolean).join(" · ");
}

interface CheckpointListProps {
  readonly checkpoints: readonly CheckpointView[];
  readonly busy: boolean;
  onRestore(checkpoint: CheckpointView): void;
  onFork(checkpoint: CheckpointView): void;
}

export function CheckpointList({ checkpoints, busy, onRestore, onFork }: CheckpointListProps) {
  const head = checkpoints.findLast((checkpoint) => checkpoint.superseded !== true)?.id;
  return (
    <ol className="checkpoints">
      {checkpoints.map((checkpoint) => {
        const title = titleOf(checkpoint);
        return (
          <li
            key={checkpoint.id}
            data-head={checkpoint.id === head || undefined}
            data-superseded={checkpoint.superseded || undefined}
          >
            <span className="dot" />
            <span className="what">
              {title}
              {checkpoint.id === head && <span className="unseen"> (latest)</span>}
            </span>
            <span className="meta">{metaOf(checkpoint)}</span>
            <span className="do">
              <Button
                icon="restore"
                look={["ghost", "compact"]}
                disabled={busy}
                title="Go on from here in a new run; this run stays as it is"
                aria-label={`Restore from ${title}`}
                onClick={() => onRestore(checkpoint)}
              >
                Restore
              </Button>
              <Button
                icon="branch"
                look={["ghost", "compact"]}
                disabled={busy}
                title="Go on from here with something changed, in a new run"
                aria-label={`Fork from ${title}`}
                onClick={() => onFork(checkpoint)}
              >
                Fork
              </Button>
            </span>
          </li>
        );
      })}
    </ol>
  );
}
