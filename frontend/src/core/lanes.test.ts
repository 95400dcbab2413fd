import { describe, expect, it } from "vitest";
import { type Branch, type Checkpoint, checkpointOfStep, edgePath, laneTree } from "./lanes";

function checkpoint(
  id: string,
  branch_id: string,
  second: number,
  rest: Partial<Checkpoint> = {},
): Checkpoint {
  return {
    id,
    branch_id,
    run_id: "r1",
    session_id: "s1",
    seq: second,
    step: second,
    attempt: 1,
    kind: "step",
    parent_checkpoint_id: null,
    message_count: 1,
    tokens: 0,
    label: null,
    tags: [],
    superseded: false,
    created_at: new Date(Date.UTC(2026, 0, 1, 12, 0, second)).toISOString(),
    ...rest,
  };
}

function branch(id: string, rest: Partial<Branch> = {}): Branch {
  return {
    id,
    session_id: "s1",
    name: null,
    kind: "main",
    parent_id: null,
    fork_position: 0,
    from_checkpoint_id: null,
    message_count: 0,
    is_current: false,
    created_by: "ann",
    created_at: "2026-01-01T12:00:00Z",
    ...rest,
  };
}

const MAIN = [
  checkpoint("c1", "main", 1),
  checkpoint("c2", "main", 2, { parent_checkpoint_id: "c1" }),
  checkpoint("c3", "main", 3, { parent_checkpoint_id: "c2" }),
];

describe("laneTree", () => {
  it("is empty without checkpoints", () => {
    expect(laneTree([branch("main")], [])).toEqual({ rows: [], edges: [], lanes: 0 });
  });

  it("puts one branch in one lane, oldest first, whatever the order they come in", () => {
    const { rows, edges, lanes } = laneTree([branch("main")], [...MAIN].reverse());
    expect(rows.map(({ checkpoint: { id } }) => id)).toEqual(["c1", "c2", "c3"]);
    expect(rows.map(({ head }) => head)).toEqual([false, false, true]);
    expect(rows.map(({ first }) => first)).toEqual([true, false, false]);
    expect(lanes).toBe(1);
    expect(edges.map(({ fromRow, toRow, kind }) => [fromRow, toRow, kind])).toEqual([
      [0, 1, "same"],
      [1, 2, "same"],
    ]);
  });

  it("gives a fork a lane of its own and a line from where it left", () => {
    const fork = checkpoint("f1", "fork", 4, { parent_checkpoint_id: "c2", run_id: "r2" });
    const { rows, edges, lanes } = laneTree(
      [branch("main"), branch("fork", { kind: "fork" })],
      [...MAIN, fork],
    );
    expect(lanes).toBe(2);
    expect(rows[3]).toMatchObject({ lane: 1, head: true, first: true });
    expect(edges.at(-1)).toEqual({ fromRow: 1, fromLane: 0, toRow: 3, toLane: 1, kind: "fork" });
  });

  it("takes the origin from the branch where the checkpoint does not say it", () => {
    const restored = branch("back", { kind: "restore", from_checkpoint_id: "c1", parent_id: "main" });
    const { edges } = laneTree([branch("main"), restored], [...MAIN, checkpoint("b1", "back", 9)]);
    expect(edges.at(-1)).toMatchObject({ fromRow: 0, toRow: 3, kind: "restore" });
  });

  it("draws no line to what is not there", () => {
    const lone = checkpoint("x", "main", 1, { parent_checkpoint_id: "gone" });
    expect(laneTree([], [lone])).toMatchObject({ edges: [], rows: [{ branch: null }] });
  });
});

describe("edgePath", () => {
  it("is straight within a lane", () => {
    expect(edgePath({ fromRow: 0, fromLane: 0, toRow: 2, toLane: 0, kind: "same" }, 10, 20)).toBe("M5 10V50");
  });

  it("changes lanes within one row and then goes down", () => {
    const path = edgePath({ fromRow: 0, fromLane: 0, toRow: 3, toLane: 1, kind: "fork" }, 10, 20);
    expect(path).toBe("M5 10C5 30 15 10 15 30V70");
  });
});

describe("checkpointOfStep", () => {
  it("is the last one of the run up to the step", () => {
    expect(checkpointOfStep(MAIN, "r1", 2)?.id).toBe("c2");
    expect(checkpointOfStep(MAIN, "r1", 99)?.id).toBe("c3");
    expect(checkpointOfStep(MAIN, "r2", 2)).toBeNull();
  });

  it("is none that was superseded", () => {
    expect(checkpointOfStep([checkpoint("c1", "main", 1, { superseded: true })], "r1", 1)).toBeNull();
  });
});
