import { useQuery } from "@tanstack/react-query";
import type { Schemas } from "../../core/client";
import { duration, glimpse, pretty } from "../../core/format";
import type { Checkpoint } from "../../core/lanes";
import { textOf } from "../../core/views";
import { titleOf } from "../../ui/CheckpointList";
import { Choice } from "../../ui/Field";
import { Payload } from "../../ui/Payload";
import { Tabs } from "../../ui/Tabs";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { Loaded } from "../shared/Loaded";
import { DiffPane } from "./DiffPane";
import { StepLogs } from "./StepLogs";

export const INSPECTOR_TABS = ["input", "output", "state", "diff", "prompt", "logs"] as const;
export type InspectorTab = (typeof INSPECTOR_TABS)[number];

interface InspectorProps {
  readonly run: Schemas["RunView"];
  readonly step: number | null;
  readonly checkpoint: Checkpoint | null;
  readonly checkpoints: readonly Checkpoint[];
  readonly tab: InspectorTab;
  onTab(tab: InspectorTab): void;
  /** Id of the checkpoint to compare with; null: the one before. */
  readonly against: string | null;
  onAgainst(id: string | null): void;
}

/** What went in and came out at the selected place; nothing is fetched before its tab is open. */
export function Inspector(props: InspectorProps) {
  const words = useWords();
  const { run, step, checkpoint, tab, onTab } = props;
  const place = step === null ? words.run.whole : words.checkpoints.step(step);
  const title =
    checkpoint && titleOf({ ...checkpoint, label: checkpoint.label ?? undefined }, words.checkpoints);
  return (
    <aside className="inspector" aria-label={words.inspector.title}>
      <Tabs
        label={words.inspector.title}
        current={tab}
        tabs={INSPECTOR_TABS.map((id) => ({ id, word: words.inspector[id] }))}
        onPick={onTab}
      >
        <p className="inspector-at">
          {place}
          {title !== null && title !== place && (
            <span className="quiet small">
              {" · "}
              {title}
            </span>
          )}
        </p>
        {tab === "input" && <Input run={run} step={step} />}
        {tab === "output" && <Output run={run} step={step} />}
        {tab === "state" && <State checkpoint={checkpoint} />}
        {tab === "diff" && <Diff {...props} />}
        {tab === "prompt" && <Prompt checkpoint={checkpoint} run={run} />}
        {tab === "logs" && (
          <StepLogs runId={run.id} checkpoint={checkpoint} checkpoints={props.checkpoints} />
        )}
      </Tabs>
    </aside>
  );
}

function Input({ run, step }: { run: Schemas["RunView"]; step: number | null }) {
  const words = useWords();
  const { client } = useServices();
  const query = useQuery({ ...queries.step(client, run.id, step ?? 0), enabled: step !== null && step > 0 });
  return (
    <>
      <h3>{words.inspector.asked}</h3>
      <Payload text={textOf(run.input) || words.chat.nothing} name={words.inspector.asked} />
      {step !== null && step > 0 && (
        <Loaded query={query}>
          {(value) =>
            value?.tool_calls?.map((call) => (
              <section key={call.tool_call_id}>
                <h3>{call.name}</h3>
                <Payload text={pretty(call.arguments) || words.chat.noneGiven} name={words.chat.arguments} />
              </section>
            ))
          }
        </Loaded>
      )}
    </>
  );
}

function Output({ run, step }: { run: Schemas["RunView"]; step: number | null }) {
  const words = useWords();
  const { client } = useServices();
  const query = useQuery({ ...queries.step(client, run.id, step ?? 0), enabled: step !== null && step > 0 });
  if (step === null || step === 0) {
    return <Payload text={run.response ?? words.inspector.noOutput} name={words.inspector.output} />;
  }
  return (
    <Loaded query={query}>
      {(value) =>
        value === null ? (
          <p className="quiet small">{words.inspector.noOutput}</p>
        ) : (
          <>
            <p className="quiet small">
              {value.status}
              {value.duration_ms ? ` · ${duration(value.duration_ms)}` : ""}
              {value.redone ? ` · ${words.inspector.redone(value.redone)}` : ""}
            </p>
            {textOf(value.content) !== "" && (
              <Payload text={textOf(value.content)} name={words.chat.answer} />
            )}
            {value.tool_calls?.map((call) => (
              <section key={call.tool_call_id}>
                <h3>
                  {call.name} <span className="quiet small">{glimpse(call.arguments, 40)}</span>
                </h3>
                <Payload
                  text={pretty(call.error ?? call.result) || words.chat.nothing}
                  name={call.error ? words.chat.error : words.chat.result}
                />
              </section>
            ))}
          </>
        )
      }
    </Loaded>
  );
}

function State({ checkpoint }: { checkpoint: Checkpoint | null }) {
  const words = useWords();
  const { client } = useServices();
  const query = useQuery({
    ...queries.checkpoint(client, checkpoint?.id ?? ""),
    enabled: checkpoint !== null,
  });
  if (checkpoint === null) return <p className="quiet small">{words.inspector.noCheckpoint}</p>;
  return (
    <Loaded query={query} lines={6}>
      {(state) => (
        <>
          <p className="quiet small">{words.inspector.messagesAt(state.messages.length)}</p>
          <Payload text={pretty({ ...state, agent: undefined })} name={words.inspector.state} />
        </>
      )}
    </Loaded>
  );
}

function Diff({ checkpoint, checkpoints, against, onAgainst }: InspectorProps) {
  const words = useWords();
  if (checkpoint === null) return <p className="quiet small">{words.inspector.noCheckpoint}</p>;
  const other = against ?? checkpoint.parent_checkpoint_id;
  const choices = checkpoints
    .filter(({ id }) => id !== checkpoint.id)
    .map((one) => ({
      id: one.id,
      word: `${titleOf({ ...one, label: one.label ?? undefined }, words.checkpoints)} · ${one.run_id.slice(-6)}`,
    }));
  return (
    <>
      <Choice
        label={words.inspector.against}
        value={against ?? ""}
        choices={[{ id: "", word: words.inspector.previous }, ...choices]}
        onPick={(id) => onAgainst(id === "" ? null : id)}
      />
      {other === null ? (
        <p className="quiet small">{words.inspector.noCheckpoint}</p>
      ) : (
        <DiffPane checkpointId={checkpoint.id} against={other} />
      )}
    </>
  );
}

function Prompt({ checkpoint, run }: { checkpoint: Checkpoint | null; run: Schemas["RunView"] }) {
  const words = useWords();
  const { client } = useServices();
  const id = checkpoint?.id ?? run.last_checkpoint_id ?? null;
  const query = useQuery({ ...queries.checkpoint(client, id ?? ""), enabled: id !== null });
  if (id === null) return <p className="quiet small">{words.inspector.noCheckpoint}</p>;
  return (
    <Loaded query={query}>
      {({ agent: { system_prompt, tools, ...rest } }) => (
        <>
          <h3>{words.agents.systemPrompt}</h3>
          <Payload text={system_prompt ?? words.inspector.noPrompt} name={words.agents.systemPrompt} />
          <h3>{words.inspector.tools}</h3>
          <p>{tools.length === 0 ? words.inspector.noTools : tools.join(", ")}</p>
          <h3>{words.inspector.configuration}</h3>
          <Payload text={pretty(rest)} name={words.inspector.configuration} />
        </>
      )}
    </Loaded>
  );
}
