import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useDeferredValue } from "react";
import type { Schemas } from "../../core/client";
import { type ForkDraft, modificationsOf, stretches, wrongFields } from "../../core/fork-draft";
import { count } from "../../core/format";
import { Icon } from "../../ui/Icon";
import { useWords } from "../../ui/words";
import { useServices } from "../app/services";
import { Loaded } from "../shared/Loaded";

/** What the fork would reuse, run again and cost: the server's dry run of exactly what is typed. */
export function ReplayPlan({
  checkpoint,
  draft,
}: {
  checkpoint: Schemas["CheckpointView"];
  draft: ForkDraft;
}) {
  const words = useWords();
  const { client } = useServices();
  const modifications = modificationsOf(useDeferredValue(draft));
  const plan = useQuery({
    queryKey: ["plan", checkpoint.id, modifications],
    enabled: wrongFields(draft).length === 0,
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) =>
      client.post("/api/checkpoints/{checkpoint_id}/plan", {
        path: { checkpoint_id: checkpoint.id },
        body: { modifications },
        signal,
      }),
  });
  return (
    <section className="panel plan" aria-label={words.fork.plan}>
      <h2>{words.fork.plan}</h2>
      <Loaded query={plan} lines={4}>
        {(value) => <Plan plan={value} />}
      </Loaded>
    </section>
  );
}

function Plan({ plan }: { plan: Schemas["PlanView"] }) {
  const words = useWords();
  return (
    <>
      <ul className="plan-lines">
        <li>
          <Icon name="completed" /> {words.fork.reused(plan.messages_reused)}
        </li>
        {plan.messages_edited > 0 && (
          <li>
            <Icon name="edit" /> {words.fork.edited(plan.messages_edited)}
          </li>
        )}
        {plan.messages_dropped > 0 && (
          <li>
            <Icon name="cancelled" /> {words.fork.dropped(plan.messages_dropped)}
          </li>
        )}
        <li>
          <Icon name="retry" />{" "}
          {plan.steps_to_rerun.length === 0
            ? words.fork.rerunNone
            : words.fork.rerun(stretches(plan.steps_to_rerun))}
        </li>
        <li>
          <Icon name="model" /> {words.fork.tokens(count(plan.estimated_tokens))}
        </li>
      </ul>
      <h3>{words.fork.acts}</h3>
      {plan.tools_with_side_effects.length === 0 ? (
        <p className="quiet small">{words.fork.actsNone}</p>
      ) : (
        <ul className="plan-lines">
          {plan.tools_with_side_effects.map(({ name, calls }) => (
            <li key={name} className="risky">
              <Icon name="warning" /> <code>{name}</code>{" "}
              <span className="quiet small">{words.fork.calls(calls)}</span>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
