import { pretty } from "../core/format";
import { jsonDiff } from "../core/json-diff";
import { textDiff } from "../core/text-diff";
import { Button } from "./Button";
import { useWords } from "./words";

/** Two texts as one, with what was added and removed marked by more than colour. */
export function TextDiff({ before, after }: { before: string; after: string }) {
  const pieces = textDiff(before, after);
  return (
    <p className="text-diff">
      {pieces.map(({ kind, text }, index) => {
        // biome-ignore lint/suspicious/noArrayIndexKey: pieces have no identity of their own
        if (kind === "added") return <ins key={index}>{text}</ins>;
        // biome-ignore lint/suspicious/noArrayIndexKey: as above
        if (kind === "removed") return <del key={index}>{text}</del>;
        // biome-ignore lint/suspicious/noArrayIndexKey: as above
        return <span key={index}>{text}</span>;
      })}
    </p>
  );
}

/** Two JSON values, place by place. */
export function JsonDiff({ before, after }: { before: unknown; after: unknown }) {
  const words = useWords();
  const differences = jsonDiff(before, after);
  if (differences.length === 0) return <p className="quiet small">{words.inspector.same}</p>;
  return (
    <ul className="json-diff">
      {differences.map(({ pointer, kind, before: old, after: now }) => (
        <li key={pointer} data-kind={kind}>
          <span className="mono pointer">{pointer || "/"}</span>
          <Button
            icon="copy"
            look={["ghost", "compact"]}
            aria-label={`${words.inspector.pointer} ${pointer || "/"}`}
            title={words.inspector.pointer}
            onClick={() => void navigator.clipboard?.writeText(pointer)}
          />
          <span className="values">
            {kind !== "added" && <del>{pretty(old) || "null"}</del>}{" "}
            {kind !== "removed" && <ins>{pretty(now) || "null"}</ins>}
          </span>
        </li>
      ))}
    </ul>
  );
}
