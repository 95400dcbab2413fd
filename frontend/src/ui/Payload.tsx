import { Button } from "./Button";
import { useWords } from "./words";

/** Longer texts are shown in part and handed over as a file: a browser cannot lay out megabytes. */
const SHOWN = 256 * 1024;

/** Text of any size, such as a result or a state. */
export function Payload({ text, name }: { text: string; name: string }) {
  const words = useWords();
  const cut = text.length > SHOWN;
  return (
    <figure className="payload">
      {cut && (
        <figcaption className="quiet small">
          {words.inspector.large(`${Math.round(text.length / 1024)} kB`)}{" "}
          <Button icon="download" look={["compact"]} onClick={() => download(`${name}.txt`, text)}>
            {words.inspector.download}
          </Button>
        </figcaption>
      )}
      <pre className="code" tabIndex={0} aria-label={name} role="group">
        {cut ? text.slice(0, SHOWN) : text}
      </pre>
    </figure>
  );
}

/** Hands a text over as a file. */
export function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
