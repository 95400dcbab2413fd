import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import type { Schemas } from "../../core/client";
import { clock, duration, pretty, span } from "../../core/format";
import { shortId } from "../../core/ids";
import { messageOf } from "../../core/problem";
import { EditArguments, Reject } from "../../ui/Approval";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { Icon } from "../../ui/Icon";
import { Payload } from "../../ui/Payload";
import { useWords } from "../../ui/words";
import { useKeys } from "../app/key-board";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { useNow } from "../app/useNow";
import { CopyAs } from "../shared/CopyAs";
import { Loaded } from "../shared/Loaded";

type Question = Schemas["ApprovalView"];
type Mode = "ask" | "edit" | "reject";
interface Answer {
  readonly ids: readonly string[];
  readonly body: Schemas["DecisionBody"];
}

export function ApprovalsPage() {
  const words = useWords();
  const { client } = useServices();
  const pending = useQuery(queries.approvals(client, "pending"));
  const approved = useQuery(queries.approvals(client, "approved"));
  const rejected = useQuery(queries.approvals(client, "rejected"));
  const history = [...(approved.data?.items ?? []), ...(rejected.data?.items ?? [])].sort((a, b) =>
    (b.resolved_at ?? "").localeCompare(a.resolved_at ?? ""),
  );
  return (
    <div className="page">
      <Loaded query={pending} lines={4}>
        {({ items }) =>
          items.length === 0 ? (
            <div className="none">
              <p>{words.approvals.nothing}</p>
              <p className="quiet small">{words.approvals.nothingHint}</p>
            </div>
          ) : (
            <Queue questions={items} />
          )
        }
      </Loaded>
      {history.length > 0 && (
        <section className="panel" aria-label={words.approvals.history}>
          <h2>{words.approvals.history}</h2>
          <ul className="lines">
            {history.map((one) => (
              <li key={one.id} className="history-line">
                <span className="status" data-tone={one.status === "approved" ? "completed" : "cancelled"}>
                  <Icon name={one.status === "approved" ? "approve" : "cancelled"} />
                  {one.status === "approved" ? words.approvals.approved : words.approvals.rejected}
                  {one.by ? words.approvals.by(one.by) : ""}
                </span>
                <code>{one.name}</code>
                <span className="quiet small clip">{one.note}</span>
                <RunLink question={one} />
                <span className="quiet small">{clock(one.resolved_at ?? undefined)}</span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  );
}

function RunLink({ question }: { question: Question }) {
  const words = useWords();
  return (
    <Link to="/runs/$run" params={{ run: question.run_id }}>
      {words.approvals.run} {shortId(question.run_id)}
    </Link>
  );
}

function Queue({ questions }: { questions: readonly Question[] }) {
  const words = useWords();
  const navigate = useNavigate({ from: "/approvals" });
  const search = useSearch({ from: "/approvals" });
  const [mode, setMode] = useState<Mode>("ask");
  const answer = useAnswer(() => setMode("ask"));
  const current = questions.find(({ id }) => id === search.id) ?? questions[0];
  const pick = (id: string) => {
    setMode("ask");
    void navigate({ search: { id }, replace: true });
  };
  const decide = (body: Schemas["DecisionBody"], ids: readonly string[] = current ? [current.id] : []) =>
    answer.mutate({ ids, body });
  useKeys({
    "approval.approve": () => decide({ decision: "approve" }),
    "approval.reject": () => setMode("reject"),
    "approval.edit": () => setMode("edit"),
  });
  const same = questions.filter(({ name }) => name === current?.name);
  return (
    <>
      {answer.error !== null && <Banner tone="danger">{messageOf(answer.error)}</Banner>}
      <p className="quiet small">{words.approvals.keys}</p>
      <div className="queue">
        <ul className="queue-list" aria-label={words.approvals.pending}>
          {questions.map((question) => (
            <li key={question.id}>
              <QuestionButton
                question={question}
                current={question === current}
                onPick={() => pick(question.id)}
              />
            </li>
          ))}
        </ul>
        {current !== undefined && (
          <section className="panel" aria-label={current.name}>
            <h2>
              {words.approvals.ask} <code>{current.name}</code>?
            </h2>
            {current.reason && <p>{current.reason}</p>}
            <RunLink question={current} />
            {mode !== "edit" && (
              <Payload text={pretty(current.arguments) || words.chat.noneGiven} name={words.chat.arguments} />
            )}
            {mode === "ask" && (
              <div className="actions-row">
                <Button
                  icon="approve"
                  look={["primary"]}
                  disabled={answer.isPending}
                  onClick={() => decide({ decision: "approve" })}
                >
                  {words.approvals.approve}
                </Button>
                <Button icon="edit" onClick={() => setMode("edit")}>
                  {words.approvals.editArguments}
                </Button>
                <Button icon="close" look={["danger"]} onClick={() => setMode("reject")}>
                  {words.approvals.reject}
                </Button>
                {same.length > 1 && (
                  <Button
                    disabled={answer.isPending}
                    onClick={() =>
                      decide(
                        { decision: "approve" },
                        same.map(({ id }) => id),
                      )
                    }
                  >
                    {words.approvals.all(same.length, current.name)}
                  </Button>
                )}
                <CopyAs
                  actions={(["approve", "reject"] as const).map((decision) => ({
                    name: words.approvals[decision],
                    action: {
                      method: "POST",
                      path: `/api/approvals/${encodeURIComponent(current.id)}`,
                      body: { decision },
                    },
                  }))}
                />
              </div>
            )}
            {mode === "edit" && (
              <EditArguments
                start={pretty(current.arguments)}
                busy={answer.isPending}
                onBack={() => setMode("ask")}
                onSend={(edited) =>
                  decide({ decision: "approve", arguments: edited as Readonly<Record<string, unknown>> })
                }
              />
            )}
            {mode === "reject" && (
              <Reject
                busy={answer.isPending}
                onBack={() => setMode("ask")}
                onSend={(note) => decide({ decision: "reject", note: note || null })}
              />
            )}
          </section>
        )}
      </div>
    </>
  );
}

interface QuestionButtonProps {
  readonly question: Question;
  readonly current: boolean;
  onPick(): void;
}

function QuestionButton({ question, current, onPick }: QuestionButtonProps) {
  const words = useWords();
  const now = useNow(true);
  const age = span(question.created_at, now);
  return (
    <button type="button" aria-current={current ? "true" : undefined} onClick={onPick}>
      <span className="status" data-tone="waiting">
        <Icon name="waiting" />
        <code>{question.name}</code>
      </span>
      <span className="quiet small">{words.approvals.waiting(duration(age ?? 0))}</span>
    </button>
  );
}

/** Answers one by one: each decision stands for itself, and the first refusal ends the row. */
function useAnswer(onDone: () => void) {
  const { client } = useServices();
  const queryClient = useQueryClient();
  return useMutation({
    mutationFn: async ({ ids, body }: Answer) => {
      for (const approval_id of ids)
        await client.post("/api/approvals/{approval_id}", { path: { approval_id }, body });
    },
    onSettled: () => {
      onDone();
      void queryClient.invalidateQueries({ queryKey: ["approvals"] });
      void queryClient.invalidateQueries({ queryKey: ["runs"] });
    },
  });
}
