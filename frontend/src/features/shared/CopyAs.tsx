import { useState } from "react";
import { type Action, asCli, asCurl, asPython } from "../../core/snippets";
import { useWords } from "../../ui/words";

export interface NamedAction {
  /** As the page calls it: Pause, Create. */
  readonly name: string;
  readonly action: Action;
}

const FORMS = [
  { name: "curl", write: asCurl },
  { name: "Python", write: asPython },
  { name: "CLI", write: asCli },
] as const;

/** The actions beside it as commands: what the page can do, a script can. */
export function CopyAs({ actions }: { actions: readonly NamedAction[] }) {
  const words = useWords();
  const [done, setDone] = useState<string | null>(null);
  async function copy(picked: string): Promise<void> {
    const [at = "", form = ""] = picked.split(" ");
    const chosen = actions[Number(at)];
    const way = FORMS.find(({ name }) => name === form);
    if (chosen === undefined || way === undefined) return;
    await navigator.clipboard?.writeText(way.write(chosen.action, window.location.origin));
    setDone(`${chosen.name}, ${form}`);
  }
  if (actions.length === 0) return null;
  return (
    <span className="copy-as">
      <select
        className="input"
        aria-label={words.app.copyAs}
        value=""
        onChange={(event) => void copy(event.target.value)}
      >
        <option value="">{words.app.copyAs}…</option>
        {actions.map(({ name }, at) => (
          <optgroup key={name} label={name}>
            {FORMS.map((form) => (
              <option key={form.name} value={`${at} ${form.name}`}>
                {`${name}: ${form.name}`}
              </option>
            ))}
          </optgroup>
        ))}
      </select>
      <span role="status" className="quiet small">
        {done !== null && `${words.app.copied}: ${done}`}
      </span>
    </span>
  );
}
