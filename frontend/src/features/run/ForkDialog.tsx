import type { Modifications } from "../../core/api";
import type { AgentView, CheckpointView } from "../../core/views";
import { Dialog } from "../../ui/Dialog";
import { type ForkFields, ForkForm } from "../../ui/ForkForm";

/** Returns what was filled in; an empty field changes nothing. */
export function modificationsOf({ systemPrompt, query, model, maxSteps }: ForkFields): Modifications {
  const steps = Number.parseInt(maxSteps, 10);
  return {
    ...(systemPrompt.trim() === "" ? {} : { system_prompt: systemPrompt }),
    ...(query.trim() === "" ? {} : { modified_query: query }),
    ...(model.trim() === "" ? {} : { model: model.trim() }),
    ...(Number.isNaN(steps) ? {} : { max_steps: steps }),
  };
}

interface ForkDialogProps {
  readonly checkpoint: CheckpointView;
  readonly agent: AgentView | null;
  readonly model: string | null;
  readonly query: string;
  readonly busy: boolean;
  readonly problem: string | null;
  onFork(checkpointId: string, modifications: Modifications): void;
  onClose(): void;
}

export function ForkDialog(props: ForkDialogProps) {
  const { checkpoint, agent, model, query, busy, problem, onFork, onClose } = props;
  const current = {
    systemPrompt: agent?.system_prompt ?? "",
    query,
    model: model ?? agent?.model ?? "",
    maxSteps: agent?.max_steps === undefined ? "" : String(agent.max_steps),
  };
  const where = checkpoint.step === undefined ? "" : ` at step ${checkpoint.step}`;
  return (
    <Dialog title={`Fork from the checkpoint${where}`} onClose={onClose}>
      <ForkForm
        current={current}
        busy={busy}
        problem={problem}
        onFork={(fields) => onFork(checkpoint.id, modificationsOf(fields))}
        onClose={onClose}
      />
    </Dialog>
  );
}
