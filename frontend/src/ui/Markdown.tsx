import { lazy, Suspense } from "react";

const MarkdownView = lazy(() => import("./MarkdownView"));

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
