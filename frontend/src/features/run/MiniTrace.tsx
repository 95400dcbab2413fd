import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { barOf, extentOf, timelineRows, timeScale } from "../../core/timeline";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";

const OPEN = { closed: new Set<string>(), keyOnly: true, find: "" };
const HEIGHT = 6;
/** As many of the last steps and tools as the rail has room for. */
const SHOWN = 16;

/** The waterfall in small; it leads to the large one. */
export function MiniTrace({ runId, revision, now }: { runId: string; revision: number; now: number }) {
  const words = useWords();
  const { client } = useServices();
  const trace = useQuery({ ...queries.trace(client, runId), enabled: revision > 0 });
  const { refetch } = trace;
  useEffect(() => {
    if (revision > 0) void refetch();
  }, [revision, refetch]);
  if (trace.data === undefined) return null;
  const rows = timelineRows(trace.data, OPEN).slice(1).slice(-SHOWN);
  const window = extentOf(rows, now);
  if (window === null) return null;
  const scale = timeScale(rows, window, now, true);
  return (
    <Link
      to="/runs/$run"
      params={{ run: runId }}
      className="mini-trace"
      aria-label={`${words.run.waterfall}: ${words.chat.openRun}`}
    >
      <svg viewBox={`0 0 100 ${rows.length * HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        {rows.map((row, index) => {
          const bar = barOf(row, scale, window, now);
          if (bar === null) return null;
          const width = Math.max(0.8, (bar.to - bar.from) * 100);
          return (
            <rect
              key={row.id}
              data-kind={row.kind}
              data-status={row.status}
              x={Math.min(99, bar.from * 100)}
              y={index * HEIGHT + 1}
              width={width}
              height={HEIGHT - 2}
            />
          );
        })}
      </svg>
    </Link>
  );
}
