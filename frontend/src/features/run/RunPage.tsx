import { usePrefetchQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import type { Schemas } from "../../core/client";
import { checkpointOfStep } from "../../core/lanes";
import { isEnded, isRunStatus } from "../../core/status";
import { stepOfSpan } from "../../core/timeline";
import { Banner } from "../../ui/Banner";
import { Tabs } from "../../ui/Tabs";
import { useWords } from "../../ui/words";
import { useKeys } from "../app/key-board";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { useNow } from "../app/useNow";
import { Loaded } from "../shared/Loaded";
import { EventList } from "./EventList";
import { INSPECTOR_TABS, Inspector, type InspectorTab } from "./Inspector";
import { RunHead } from "./RunHead";
import { RunMessages } from "./RunMessages";
import { TreeView } from "./TreeView";
import { useRunNews } from "./useRunNews";
import { Waterfall } from "./Waterfall";

const VIEWS = ["timeline", "tree", "messages", "raw"] as const;
type View = (typeof VIEWS)[number];

export function RunPage() {
  const { run: runId } = useParams({ from: "/runs/$run" });
  const { client } = useServices();
  const query = useQuery(queries.run(client, runId));
  // Asked for beside the run, not behind it.
  usePrefetchQuery(queries.trace(client, runId));
  return (
    <div className="page run-page">
      <Loaded query={query} lines={2}>
        {(run) => <Detail key={run.id} run={run} />}
      </Loaded>
    </div>
  );
}

function Detail({ run }: { run: Schemas["RunView"] }) {
  const words = useWords();
  const { client } = useServices();
  const navigate = useNavigate({ from: "/runs/$run" });
  const search = useSearch({ from: "/runs/$run" });
  const queryClient = useQueryClient();
  const view: View = VIEWS.find((one) => one === search.view) ?? "timeline";
  const tab: InspectorTab = INSPECTOR_TABS.find((one) => one === search.tab) ?? "output";
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const ended = isRunStatus(run.status) && isEnded(run.status);
  const now = useNow(!ended);

  const trace = useQuery(queries.trace(client, run.id));
  const tree = useQuery(queries.tree(client, run.session_id));
  useRunNews(
    run,
    useCallback(
      (rewound) => {
        if (rewound) void queryClient.resetQueries({ queryKey: queries.trace(client, run.id).queryKey });
        void queryClient.invalidateQueries({ queryKey: ["run", run.id] });
        void queryClient.invalidateQueries({ queryKey: ["tree", run.session_id] });
      },
      [client, queryClient, run.id, run.session_id],
    ),
  );

  const spanStep = useMemo(() => {
    if (trace.data === undefined || search.span === undefined) return null;
    return stepOfSpan(trace.data, search.span);
  }, [trace.data, search.span]);
  const checkpoints = tree.data?.checkpoints ?? [];
  const picked = checkpoints.find(({ id }) => id === search.ckpt) ?? null;
  const step = picked?.run_id === run.id ? picked.step : spanStep;
  const checkpoint = picked ?? (step === null ? null : checkpointOfStep(checkpoints, run.id, step));

  const go = (change: { [N in "view" | "span" | "ckpt" | "tab" | "against"]?: string | undefined }) =>
    void navigate({ search: (old) => ({ ...old, ...change }), replace: true });
  useKeys({
    "run.fork": () => {
      const id = checkpoint?.id ?? run.last_checkpoint_id;
      if (id) void navigate({ to: "/fork/$checkpoint", params: { checkpoint: id } });
    },
    "run.diff": () => go({ tab: "diff" }),
    ...Object.fromEntries(INSPECTOR_TABS.map((id, index) => [`tab.${index + 1}`, () => go({ tab: id })])),
  });

  const queued = run.status === "queued";
  return (
    <>
      <RunHead run={run} now={now} selected={checkpoint?.id ?? null} />
      {queued && (
        <Banner tone="info">{words.run.queued(run.queue_position ? String(run.queue_position) : "")}</Banner>
      )}
      {run.error && (
        <Banner tone="danger">
          {words.chat.failedIn(run.step, run.error.message, run.error.code)} {words.run.partial}
        </Banner>
      )}
      <div className="run-body">
        <section className="run-left" aria-label={words.run.view}>
          <Tabs
            label={words.run.view}
            current={view}
            tabs={VIEWS.map((id) => ({ id, word: words.run[id] }))}
            onPick={(id) => go({ view: id === "timeline" ? undefined : id })}
          >
            {view === "timeline" && (
              <Loaded query={trace} lines={8}>
                {(root) => (
                  <Waterfall
                    trace={root}
                    now={now}
                    live={!ended}
                    closed={closed}
                    onToggle={(id) =>
                      setClosed((old) => {
                        const next = new Set(old);
                        if (!next.delete(id)) next.add(id);
                        return next;
                      })
                    }
                    selected={search.span ?? null}
                    selectedStep={step}
                    onSelect={(id) => go({ span: id, ckpt: undefined })}
                  />
                )}
              </Loaded>
            )}
            {view === "tree" && (
              <Loaded query={tree} lines={8}>
                {(value) => (
                  <TreeView
                    tree={value}
                    runId={run.id}
                    selected={checkpoint?.id ?? null}
                    onSelect={(one) => {
                      if (one.run_id === run.id) go({ ckpt: one.id, span: undefined });
                      else {
                        void navigate({
                          to: "/runs/$run",
                          params: { run: one.run_id },
                          search: { view: "tree", ckpt: one.id },
                        });
                      }
                    }}
                  />
                )}
              </Loaded>
            )}
            {view === "messages" && <RunMessages runId={run.id} selectedStep={step} />}
            {view === "raw" && <EventList runId={run.id} />}
          </Tabs>
        </section>
        <Inspector
          run={run}
          step={step}
          checkpoint={checkpoint}
          checkpoints={checkpoints}
          tab={tab}
          onTab={(id) => go({ tab: id })}
          against={search.against ?? null}
          onAgainst={(id) => go({ against: id ?? undefined })}
        />
      </div>
    </>
  );
}
