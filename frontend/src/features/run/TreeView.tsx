import { type KeyboardEvent, useMemo } from "react";
import type { Schemas } from "../../core/client";
import { clock } from "../../core/format";
import { shortId } from "../../core/ids";
import { type Checkpoint, edgePath, laneTree } from "../../core/lanes";
import { titleOf } from "../../ui/CheckpointList";
import { useWords } from "../../ui/words";

interface TreeViewProps {
  readonly tree: Schemas["TreeView"];
  readonly runId: string;
  readonly selected: string | null;
  onSelect(checkpoint: Checkpoint): void;
}

/** As in pages.css. */
const ROW = 32;
const LANE = 18;

/** The checkpoints of a conversation over all its branches, newest last. */
export function TreeView({ tree, runId, selected, onSelect }: TreeViewProps) {
  const words = useWords();
  const { rows, edges, lanes } = useMemo(() => laneTree(tree.branches, tree.checkpoints), [tree]);
  if (rows.length === 0) return <p className="quiet small none">{words.checkpoints.none}</p>;

  function onKeyDown(event: KeyboardEvent): void {
    const step =
      event.key === "ArrowDown" || event.key === "j"
        ? 1
        : event.key === "ArrowUp" || event.key === "k"
          ? -1
          : 0;
    if (step === 0) return;
    event.preventDefault();
    const at = rows.findIndex(({ checkpoint }) => checkpoint.id === selected);
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
    if (next !== undefined) onSelect(next.checkpoint);
  }
  const width = Math.min(lanes, 12) * LANE;
  return (
    <div className="lanes">
      <p className="quiet small">{words.checkpoints.restoreSays}</p>
      <div
        className="lane-box"
        role="listbox"
        aria-label={words.checkpoints.tree}
        tabIndex={0}
        aria-activedescendant={selected === null ? undefined : `ckpt-${selected}`}
        onKeyDown={onKeyDown}
      >
        <svg className="lane-lines" width={width} height={rows.length * ROW} aria-hidden="true">
          {edges.map((edge) => (
            <path key={`${edge.fromRow}-${edge.toRow}`} d={edgePath(edge, LANE, ROW)} data-kind={edge.kind} />
          ))}
          {rows.map(({ checkpoint, lane, head }, index) => (
            <circle
              key={checkpoint.id}
              cx={(lane + 0.5) * LANE}
              cy={(index + 0.5) * ROW}
              r={4.5}
              data-head={head || undefined}
              data-superseded={checkpoint.superseded || undefined}
            />
          ))}
        </svg>
        {rows.map(({ checkpoint, first, head, branch }) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the list has the focus and handles keys
          <div
            key={checkpoint.id}
            id={`ckpt-${checkpoint.id}`}
            role="option"
            tabIndex={-1}
            aria-selected={checkpoint.id === selected}
            className="lane-row"
            data-own={checkpoint.run_id === runId || undefined}
            style={{ paddingLeft: width + 8 }}
            onClick={() => onSelect(checkpoint)}
          >
            <span className="clip">
              {titleOf({ ...checkpoint, label: checkpoint.label ?? undefined }, words.checkpoints)}
            </span>
            {first && branch !== null && (
              <span className="badge">
                {branch.parent_id === null
                  ? words.checkpoints.main
                  : words.checkpoints.branch(branch.name ?? shortId(branch.id))}
              </span>
            )}
            {head && <span className="badge head">{words.checkpoints.head}</span>}
            {checkpoint.superseded && <span className="quiet small">{words.checkpoints.superseded}</span>}
            <span className="gap" />
            <span className="mono quiet small">{shortId(checkpoint.run_id)}</span>
            <span className="quiet small">{clock(checkpoint.created_at)}</span>
          </div>
        ))}
      </div>
    </div>
  );
}
