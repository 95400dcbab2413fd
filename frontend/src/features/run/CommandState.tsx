import type { Schemas } from "../../core/client";
import { commandPhase, type Issued } from "../../core/command";
import { isRunStatus } from "../../core/status";
import { useWords } from "../../ui/words";
import { useNow } from "../app/useNow";

export type IssuedCommand = Issued;

/** What became of the last command; said aloud too. */
export function CommandState({ issued, run }: { issued: IssuedCommand | null; run: Schemas["RunView"] }) {
  const now = useNow(issued !== null);
  return (
    <p className="command-state quiet small" role="status">
      {issued !== null && isRunStatus(run.status) && (
        <Phase
          issued={issued}
          phase={commandPhase(issued, run.status, now)}
          worker={run.owner?.worker ?? ""}
        />
      )}
    </p>
  );
}

interface PhaseProps {
  readonly issued: IssuedCommand;
  readonly phase: ReturnType<typeof commandPhase>;
  readonly worker: string;
}

function Phase({ issued, phase, worker }: PhaseProps) {
  const { command } = useWords();
  const name = issued.name === "cancel" ? command.stop : command[issued.name];
  return phase === "accepted" ? command.accepted(name, worker) : command[phase](name);
}
