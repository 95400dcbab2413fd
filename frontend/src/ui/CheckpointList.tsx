import { clock } from "../core/format";
import type { Words } from "../core/i18n/words";
import type { CheckpointView } from "../core/views";
import { Button } from "./Button";
import { useWords } from "./words";

type CheckpointWords = Words["checkpoints"];

/** What a checkpoint is called: its label, or what it stands for. */
export function titleOf({ kind, step, label }: CheckpointView, words: CheckpointWords): string {
  const named = kind === "input" || kind === "stop" || kind === "final" ? words[kind] : null;
  const base =
    named === null
      ? words.step(step ?? 0)
      : step === undefined || kind === "input"
        ? named
        : words.at(named, step);
  return label === undefined || label === "" ? base : `${label} (${base.toLowerCase()})`;
}

function metaOf({ created_at, message_count, superseded }: CheckpointView, words: Words): string {
  const messages = message_count === undefined ? "" : words.inspector.messagesAt(message_count);
  return [clock(created_at), messages, superseded ? words.checkpoints.superseded : ""]
    .filter(Boolean)
    .join(" · ");
}

interface CheckpointListProps {
  readonly checkpoints: readonly CheckpointView[];
  readonly busy: boolean;
  onRestore(checkpoint: CheckpointView): void;
  onFork(checkpoint: CheckpointView): void;
}

export function CheckpointList({ checkpoints, busy, onRestore, onFork }: CheckpointListProps) {
  const words = useWords();
  const head = checkpoints.findLast((checkpoint) => checkpoint.superseded !== true)?.id;
  return (
    <ol className="checkpoints">
      {checkpoints.map((checkpoint) => {
        const title = titleOf(checkpoint, words.checkpoints);
        return (
          <li
            key={checkpoint.id}
            data-head={checkpoint.id === head || undefined}
            data-superseded={checkpoint.superseded || undefined}
          >
            <span className="dot" />
            <span className="what">
              {title}
              {checkpoint.id === head && <span className="unseen"> ({words.chat.latestMark})</span>}
            </span>
            <span className="meta">{metaOf(checkpoint, words)}</span>
            <span className="do">
              <Button
                icon="restore"
                look={["ghost", "compact"]}
                disabled={busy}
                title={words.checkpoints.restoreHint}
                aria-label={words.checkpoints.restoreFrom(title)}
                onClick={() => onRestore(checkpoint)}
              >
                {words.command.restore}
              </Button>
              <Button
                icon="branch"
                look={["ghost", "compact"]}
                disabled={busy}
                title={words.checkpoints.forkHint}
                aria-label={words.checkpoints.forkFrom(title)}
                onClick={() => onFork(checkpoint)}
              >
                {words.command.fork}
              </Button>
            </span>
          </li>
        );
      })}
    </ol>
  );
}
