// @vitest-environment jsdom
import "../testing/dom";
import { fireEvent, render, screen } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import type { ApprovalItem } from "../core/run-state";
import { Approval } from "./Approval";

const ITEM: ApprovalItem = {
  kind: "approval",
  id: "approval/a1",
  seq: 4,
  approvalId: "a1",
  callId: "c1",
  name: "send_mail",
  arguments: { to: "ann" },
  reason: "It leaves the building.",
  decision: null,
  by: undefined,
  note: undefined,
};

function show(item: Partial<ApprovalItem> = {}, open = true) {
  const onDecide = vi.fn();
  render(<Approval item={{ ...ITEM, ...item }} open={open} busy={false} onDecide={onDecide} />);
  return onDecide;
}

const press = (name: string) => fireEvent.click(screen.getByRole("button", { name }));
const type = (label: string | RegExp, value: string) =>
  fireEvent.change(screen.getByLabelText(label), { target: { value } });

describe("an open approval", () => {
  it("says what would be done, and why it asks", () => {
    show();
    expect(screen.getByRole("region", { name: "Approve send_mail?" })).toBeTruthy();
    expect(screen.getByText("It leaves the building.")).toBeTruthy();
    expect(screen.getByText(/"to": "ann"/)).toBeTruthy();
  });

  it("is approved as it stands", () => {
    const onDecide = show();
    press("Approve");
    expect(onDecide).toHaveBeenCalledWith("a1", { decision: "approve" });
  });

  it("is approved with edited arguments, once they are a JSON object", () => {
    const onDecide = show();
    press("Edit arguments");
    const field = screen.getByLabelText(/Arguments/);
    expect(document.activeElement).toBe(field);
    for (const bad of ['{"to": ', "[1]", '"text"']) {
      type(/Arguments/, bad);
      expect(screen.getByText("This is not a JSON object yet.")).toBeTruthy();
      press("Approve with these");
    }
    expect(onDecide).not.toHaveBeenCalled();
    type(/Arguments/, '{"to": "bob"}');
    press("Approve with these");
    expect(onDecide).toHaveBeenCalledWith("a1", { decision: "approve", arguments: { to: "bob" } });
  });

  it("is rejected with a reason, or without one", () => {
    const onDecide = show();
    press("Reject");
    type(/Reason/, " not today ");
    press("Reject");
    expect(onDecide).toHaveBeenLastCalledWith("a1", { decision: "reject", note: "not today" });
    type(/Reason/, "  ");
    press("Reject");
    expect(onDecide).toHaveBeenLastCalledWith("a1", { decision: "reject" });
  });

  it("lets a person think again", () => {
    const onDecide = show();
    press("Edit arguments");
    press("Back");
    press("Approve");
    expect(onDecide).toHaveBeenCalledWith("a1", { decision: "approve" });
  });
});

describe("an approval that is over", () => {
  it("tells who decided", () => {
    show({ decision: "reject", by: "ann", note: "not today" });
    expect(screen.getByText("Rejected by ann")).toBeTruthy();
    expect(screen.getByText("send_mail: not today")).toBeTruthy();
    expect(screen.queryByRole("button")).toBeNull();
  });

  it("cannot be answered after the run has ended", () => {
    show({}, false);
    expect(screen.getByText("Not decided")).toBeTruthy();
    expect(screen.queryByRole("button")).toBeNull();
  });
});
