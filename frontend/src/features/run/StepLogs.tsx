import { useQuery } from "@tanstack/react-query";
import { glimpse } from "../../core/format";
import type { Checkpoint } from "../../core/lanes";
import { useWords } from "../../ui/words";
import { useServices } from "../app/services";
import { Loaded } from "../shared/Loaded";

interface StepLogsProps {
  readonly runId: string;
  readonly checkpoint: Checkpoint | null;
  readonly checkpoints: readonly Checkpoint[];
}

const DELTAS = new Set(["content_delta", "reasoning_delta"]);

/** The events between the checkpoint before and this one, without the pieces of text. */
export function StepLogs({ runId, checkpoint, checkpoints }: StepLogsProps) {
  const words = useWords();
  const { client } = useServices();
  const before = checkpoints
    .filter(({ run_id, seq }) => run_id === runId && checkpoint !== null && seq < checkpoint.seq)
    .reduce((latest, { seq }) => Math.max(latest, seq), 0);
  const query = useQuery({
    queryKey: ["run", runId, "logs", before],
    enabled: checkpoint !== null,
    queryFn: ({ signal }) =>
      client.get("/api/runs/{run_id}/events", {
        path: { run_id: runId },
        query: { after: before, follow: false, limit: 100 },
        signal,
      }),
  });
  if (checkpoint === null) return <p className="quiet small">{words.inspector.noCheckpoint}</p>;
  return (
    <Loaded query={query} lines={5}>
      {({ items }) => (
        <ol className="logs">
          {items
            .filter(({ seq, type }) => Number(seq) <= checkpoint.seq && !DELTAS.has(String(type)))
            .map(({ seq, type, run_id: _run, at: _at, ...rest }) => (
              <li key={Number(seq)}>
                <span className="mono number quiet">{Number(seq)}</span>
                <span className="mono">{String(type)}</span>
                <span className="quiet small clip">{glimpse(rest, 120)}</span>
              </li>
            ))}
        </ol>
      )}
    </Loaded>
  );
}
