// @vitest-environment jsdom
import "../testing/dom";
import { fireEvent, render, screen, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import type { CheckpointView } from "../core/views";
import { CheckpointList } from "./CheckpointList";
import { Composer } from "./Composer";
import { PickList } from "./PickList";
import { Status } from "./Status";

function checkpoint(id: string, fields: Partial<CheckpointView> = {}): CheckpointView {
  const none = { run_id: "r1", branch_id: "b1", created_at: undefined, tokens: undefined, label: undefined };
  return { ...none, id, step: 1, kind: "step", message_count: 3, superseded: false, ...fields };
}

describe("CheckpointList", () => {
  const CHECKPOINTS = [
    checkpoint("k1", { kind: "input", step: 0, message_count: 1 }),
    checkpoint("k2"),
    checkpoint("k3", { kind: "final", step: 2, label: "good one" }),
    checkpoint("k4", { kind: "stop", step: 3, superseded: true }),
  ];

  it("names each checkpoint, and marks the latest and the superseded", () => {
    render(<CheckpointList checkpoints={CHECKPOINTS} busy={false} onRestore={vi.fn()} onFork={vi.fn()} />);
    const rows = screen.getAllByRole("listitem").map((row) => row.textContent);
    expect(rows[0]).toContain("Question");
    expect(rows[0]).toContain("1 message");
    expect(rows[1]).toContain("Step 1");
    expect(rows[1]).toContain("3 messages");
    expect(rows[2]).toContain("good one (answer · step 2) (latest)");
    expect(rows[3]).toContain("superseded");
  });

  it("restores and forks from the one that was chosen", () => {
    const onRestore = vi.fn();
    const onFork = vi.fn();
    render(<CheckpointList checkpoints={CHECKPOINTS} busy={false} onRestore={onRestore} onFork={onFork} />);
    fireEvent.click(screen.getByRole("button", { name: "Restore from Question" }));
    fireEvent.click(screen.getByRole("button", { name: "Fork from Step 1" }));
    expect(onRestore).toHaveBeenCalledWith(CHECKPOINTS[0]);
    expect(onFork).toHaveBeenCalledWith(CHECKPOINTS[1]);
  });

  it("waits while a command is on its way", () => {
    render(<CheckpointList checkpoints={CHECKPOINTS} busy onRestore={vi.fn()} onFork={vi.fn()} />);
    for (const button of screen.getAllByRole("button")) expect(button).toHaveProperty("disabled", true);
  });
});

describe("PickList", () => {
  it("says which one is shown, and tells which one was picked", () => {
    const onPick = vi.fn();
    const picks = [
      { id: "a", body: "One" },
      { id: "b", body: "Two" },
    ];
    render(<PickList className="x" picks={picks} current="a" onPick={onPick} />);
    expect(screen.getByRole("button", { current: true }).textContent).toBe("One");
    fireEvent.click(within(screen.getByRole("list")).getByText("Two"));
    expect(onPick).toHaveBeenCalledWith("b");
  });
});

describe("Status", () => {
  it("is a word beside its colour", () => {
    render(<Status status="waiting" />);
    expect(screen.getByText("Needs you")).toBeTruthy();
  });

  it("says what was asked for and has not taken effect", () => {
    render(<Status status="running" wish="pause" />);
    render(<Status status="running" wish="cancel" />);
    expect(screen.getByText("Pausing…")).toBeTruthy();
    expect(screen.getByText("Stopping…")).toBeTruthy();
  });
});

describe("Composer", () => {
  function show(onSend: (() => void) | null) {
    render(
      <Composer draft="Hi" hint="A hint" onDraft={vi.fn()} onSend={onSend}>
        <button type="submit">Send</button>
      </Composer>,
    );
    return screen.getByLabelText("Message");
  }

  it("sends with Enter, and not with Shift+Enter or while a word is composed", () => {
    const onSend = vi.fn();
    const field = show(onSend);
    fireEvent.keyDown(field, { key: "Enter", shiftKey: true });
    fireEvent.keyDown(field, { key: "Enter", isComposing: true });
    expect(onSend).not.toHaveBeenCalled();
    fireEvent.keyDown(field, { key: "Enter" });
    expect(onSend).toHaveBeenCalledOnce();
  });

  it("keeps what is typed while nothing can be sent", () => {
    const field = show(null);
    expect(fireEvent.keyDown(field, { key: "Enter" })).toBe(false);
  });
});
