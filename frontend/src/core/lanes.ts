/** Lays out a session's checkpoints as lanes, one for each branch, as version control draws its history. Pure. */

import type { Schemas } from "./client";

export type Checkpoint = Schemas["CheckpointRow"];
export type Branch = Schemas["BranchView"];

export interface LaneRow {
  readonly checkpoint: Checkpoint;
  readonly lane: number;
  /** True for the newest checkpoint of its branch. */
  readonly head: boolean;
  /** True for the first checkpoint of its branch; then the branch is named beside it. */
  readonly first: boolean;
  readonly branch: Branch | null;
}

/** A line from a checkpoint to the one that it was made from. */
export interface LaneEdge {
  readonly fromRow: number;
  readonly fromLane: number;
  readonly toRow: number;
  readonly toLane: number;
  readonly kind: "same" | "fork" | "restore";
}

export interface LaneTree {
  /** Oldest first. */
  readonly rows: readonly LaneRow[];
  readonly edges: readonly LaneEdge[];
  readonly lanes: number;
}

/** Lanes in the order in which branches began; a branch without checkpoints takes none. */
export function laneTree(branches: readonly Branch[], checkpoints: readonly Checkpoint[]): LaneTree {
  const ordered = [...checkpoints].sort(
    (a, b) =>
      Date.parse(a.created_at) - Date.parse(b.created_at) || a.seq - b.seq || a.id.localeCompare(b.id),
  );
  const lanes = new Map<string, number>();
  const heads = new Map<string, string>();
  const byId = new Map(branches.map((branch) => [branch.id, branch]));
  const firsts = new Set<string>();
  for (const { id, branch_id } of ordered) {
    if (!lanes.has(branch_id)) {
      lanes.set(branch_id, lanes.size);
      firsts.add(id);
    }
    heads.set(branch_id, id);
  }
  const rows = ordered.map((checkpoint) => ({
    checkpoint,
    lane: lanes.get(checkpoint.branch_id) ?? 0,
    head: heads.get(checkpoint.branch_id) === checkpoint.id,
    first: firsts.has(checkpoint.id),
    branch: byId.get(checkpoint.branch_id) ?? null,
  }));
  return { rows, edges: edgesOf(rows), lanes: lanes.size };
}

function edgesOf(rows: readonly LaneRow[]): readonly LaneEdge[] {
  const places = new Map(rows.map(({ checkpoint }, index) => [checkpoint.id, index]));
  const edges: LaneEdge[] = [];
  rows.forEach(({ checkpoint, lane, first, branch }, toRow) => {
    const origin = checkpoint.parent_checkpoint_id ?? (first ? branch?.from_checkpoint_id : null);
    const fromRow = origin === null || origin === undefined ? undefined : places.get(origin);
    const from = fromRow === undefined ? undefined : rows[fromRow];
    if (fromRow === undefined || from === undefined) return;
    const away = branch?.kind === "restore" ? "restore" : "fork";
    edges.push({
      fromRow,
      fromLane: from.lane,
      toRow,
      toLane: lane,
      kind: from.lane === lane ? "same" : away,
    });
  });
  return edges;
}

/** The line as an SVG path, for rows of `height` and lanes of `width` pixels. */
export function edgePath(
  { fromRow, fromLane, toRow, toLane }: LaneEdge,
  width: number,
  height: number,
): string {
  const x = (lane: number) => (lane + 0.5) * width;
  const y = (row: number) => (row + 0.5) * height;
  if (fromLane === toLane) return `M${x(fromLane)} ${y(fromRow)}V${y(toRow)}`;
  // It leaves its lane at once, so that it never lies on the line that goes on there.
  const turned = y(fromRow) + height;
  return `M${x(fromLane)} ${y(fromRow)}C${x(fromLane)} ${turned} ${x(toLane)} ${y(fromRow)} ${x(toLane)} ${turned}V${y(toRow)}`;
}

/** The last checkpoint of a step, and of a step that made none the one before it. */
export function checkpointOfStep(
  checkpoints: readonly Checkpoint[],
  runId: string,
  step: number,
): Checkpoint | null {
  const own = checkpoints.filter((one) => one.run_id === runId && one.step <= step && !one.superseded);
  return own.sort((a, b) => a.seq - b.seq).at(-1) ?? null;
}
