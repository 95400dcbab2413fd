import type { ThreadItem } from "../../core/run-state";
import { Approval, type ApprovalAnswer } from "../../ui/Approval";
import { Message, Notice, Reasoning, Tool } from "../../ui/ThreadItems";

interface ThreadViewProps {
  readonly items: readonly ThreadItem[];
  /** False once the run has ended. */
  readonly live: boolean;
  readonly busy: boolean;
  onDecide(approvalId: string, answer: ApprovalAnswer): void;
}

export function ThreadView({ items, live, busy, onDecide }: ThreadViewProps) {
  return items.map((item) => {
    switch (item.kind) {
      case "message":
        return <Message key={item.id} item={item} />;
      case "reasoning":
        return <Reasoning key={item.id} item={item} />;
      case "tool":
        return <Tool key={item.id} item={item} />;
      case "approval":
        return (
          <Approval key={item.id} item={item} open={live && item.seq > 0} busy={busy} onDecide={onDecide} />
        );
      case "notice":
        return <Notice key={item.id} item={item} />;
      default:
        return item satisfies never;
    }
  });
}
