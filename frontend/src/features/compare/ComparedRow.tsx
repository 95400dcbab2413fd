import type { Schemas } from "../../core/client";
import type { ComparedStep } from "../../core/comparison";
import { duration, glimpse } from "../../core/format";
import { textOf } from "../../core/views";
import { TextDiff } from "../../ui/Diff";
import { Icon, type IconName } from "../../ui/Icon";
import { useWords } from "../../ui/words";

const ICONS = {
  same: "completed",
  changed: "edit",
  only_a: "close",
  only_b: "new",
} as const satisfies Readonly<Record<ComparedStep["kind"], IconName>>;

interface ComparedRowProps {
  readonly row: ComparedStep;
  readonly first: boolean;
  readonly current: boolean;
}

/** One step on both sides of a common spine. */
export function ComparedRow({ row, first, current }: ComparedRowProps) {
  const words = useWords();
  const changes = row.changes.map((change) => words.compare.what[change]).join(", ");
  return (
    <li
      id={`step-${row.step}`}
      className="compare-row"
      data-kind={row.kind}
      data-current={current || undefined}
    >
      <Step step={row.a} />
      <div className="spine">
        <span className="mono">{row.step}</span>
        <span className="status" data-tone={row.kind === "same" ? "completed" : "branched"}>
          <Icon name={ICONS[row.kind]} /> {words.compare[row.kind]}
        </span>
        {changes !== "" && <span className="quiet small">{changes}</span>}
        {first && <span className="badge">{words.compare.first}</span>}
      </div>
      <Step step={row.b} />
      {row.kind === "changed" && row.changes.includes("content") && (
        <div className="compare-text">
          <TextDiff before={textOf(row.a?.content)} after={textOf(row.b?.content)} />
        </div>
      )}
    </li>
  );
}

function Step({ step }: { step: Schemas["StepView"] | null }) {
  const words = useWords();
  if (step === null) return <div className="compare-step quiet small">{words.compare.missing}</div>;
  return (
    <div className="compare-step">
      {step.tool_calls?.map((call) => (
        <p key={call.tool_call_id} className="clip">
          <Icon name="tool" /> <code>{call.name}</code>{" "}
          <span className="quiet small">{glimpse(call.arguments, 60)}</span>
        </p>
      ))}
      <p className="clip-lines">{textOf(step.content)}</p>
      {step.duration_ms ? <p className="quiet small">{duration(step.duration_ms)}</p> : null}
    </div>
  );
}
