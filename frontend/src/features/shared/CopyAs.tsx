import { useState } from "react";
import { type Action, asCurl, asPython } from "../../core/snippets";
import { Button } from "../../ui/Button";
import { useWords } from "../../ui/words";

/** The action beside it as a command: what the page can do, a script can. */
export function CopyAs({ action }: { action: Action }) {
  const words = useWords();
  const [done, setDone] = useState<string | null>(null);
  async function copy(name: string, text: string): Promise<void> {
    await navigator.clipboard?.writeText(text);
    setDone(name);
  }
  const { origin } = window.location;
  const forms = [
    { name: "curl", make: () => asCurl(action, origin) },
    { name: "Python", make: () => asPython(action, origin) },
  ];
  return (
    <span className="copy-as">
      {forms.map(({ name, make }) => (
        <Button key={name} icon="copy" look={["ghost", "compact"]} onClick={() => void copy(name, make())}>
          {words.app.copyAs(name)}
        </Button>
      ))}
      <span role="status" className="quiet small">
        {done !== null && words.app.copied}
      </span>
    </span>
  );
}
