import { Link } from "@tanstack/react-router";
import type { Schemas } from "../../core/client";
import { clock } from "../../core/format";
import { shortId } from "../../core/ids";
import { isRunStatus } from "../../core/status";
import { Status } from "../../ui/Status";

/** A run in one line that leads to it. */
export function RunLine({ run }: { run: Schemas["RunRow"] }) {
  return (
    <Link to="/runs/$run" params={{ run: run.id }} className="run-line">
      {isRunStatus(run.status) && <Status status={run.status} />}
      <span className="what">{run.preview || shortId(run.id)}</span>
      <span className="quiet small">{run.agent_id}</span>
      <span className="quiet small">{clock(run.created_at)}</span>
    </Link>
  );
}
