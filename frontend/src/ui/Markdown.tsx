import { lazy, Suspense } from "react";

const RETRY_MS = 1_000;

/** Tries until it is there: a browser that is offline when it asks for it keeps the plain text, and its page. */
async function load(): Promise<typeof import("./MarkdownView")> {
  for (;;) {
    try {
      return await import("./MarkdownView");
    } catch {
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }
}

const MarkdownView = lazy(load);

/** Formatted text; plain until the formatter has been loaded. */
export function Markdown({ text, complete }: { text: string; complete: boolean }) {
  return (
    <div className="prose">
      <Suspense fallback={<p>{text}</p>}>
        <MarkdownView text={text} complete={complete} />
      </Suspense>
    </div>
  );
}
