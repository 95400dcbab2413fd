import { useInfiniteQuery } from "@tanstack/react-query";
import { useState } from "react";
import { clock, glimpse, pretty } from "../../core/format";
import { messageOf } from "../../core/problem";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { download, Payload } from "../../ui/Payload";
import { useWords } from "../../ui/words";
import { useServices } from "../app/services";

const PAGE = 100;

/** The run's events as they stand in its journal; also those that this page does not know. */
export function EventList({ runId }: { runId: string }) {
  const words = useWords();
  const { client } = useServices();
  const [open, setOpen] = useState<number | null>(null);
  const pages = useInfiniteQuery({
    queryKey: ["run", runId, "events"],
    initialPageParam: 0,
    queryFn: ({ pageParam, signal }) =>
      client.get("/api/runs/{run_id}/events", {
        path: { run_id: runId },
        query: { after: pageParam, follow: false, limit: PAGE },
        signal,
      }),
    getNextPageParam: (last) => (last.has_more ? last.next_after : undefined),
  });
  const events = pages.data?.pages.flatMap(({ items }) => items) ?? [];
  return (
    <div className="events">
      {pages.error !== null && <Banner tone="danger">{messageOf(pages.error)}</Banner>}
      <p>
        <Button
          icon="download"
          look={["compact"]}
          onClick={() =>
            download(`run-${runId}.jsonl`, events.map((event) => JSON.stringify(event)).join("\n"))
          }
        >
          {words.run.export}
        </Button>
      </p>
      <ol>
        {events.map((event) => {
          const seq = Number(event.seq);
          const { type, run_id: _run, seq: _seq, at, ...rest } = event;
          return (
            <li key={seq}>
              <button
                type="button"
                className="event-row"
                aria-expanded={open === seq}
                onClick={() => setOpen(open === seq ? null : seq)}
              >
                <span className="mono number">{seq}</span>
                <span className="mono">{String(type)}</span>
                <span className="clip quiet">{glimpse(rest)}</span>
                <span className="quiet small">{clock(typeof at === "string" ? at : undefined)}</span>
              </button>
              {open === seq && <Payload text={pretty(event)} name={String(type)} />}
            </li>
          );
        })}
      </ol>
      {pages.hasNextPage && (
        <Button onClick={() => void pages.fetchNextPage()} disabled={pages.isFetchingNextPage}>
          {words.app.more}
        </Button>
      )}
    </div>
  );
}
