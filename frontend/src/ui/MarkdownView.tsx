/** Markdown as elements. Loaded on its own, behind `Markdown`. */

import { memo } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import rehypeSanitize from "rehype-sanitize";
import remarkGfm from "remark-gfm";
import { markdownBlocks } from "../core/markdown-blocks";

interface Node {
  type: string;
  children?: Node[];
}

/** Shows HTML in an answer as the text that it is, instead of dropping it. */
function htmlAsText() {
  return function show(node: Node): void {
    if (node.type === "html") node.type = "text";
    node.children?.forEach(show);
  };
}

const REMARK = [remarkGfm, htmlAsText];
const REHYPE = [rehypeSanitize];

/** What a model writes must neither leave the page unasked nor load anything from elsewhere. */
const COMPONENTS: Components = {
  a: ({ href, children }) => (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  ),
  img: ({ src, alt }) => (
    <a href={typeof src === "string" ? src : undefined} target="_blank" rel="noopener noreferrer nofollow">
      {alt || "image"}
    </a>
  ),
  pre: ({ children }) => <pre tabIndex={0}>{children}</pre>,
};

const Block = memo(function Block({ text }: { text: string }) {
  return (
    <div className="block">
      <ReactMarkdown remarkPlugins={REMARK} rehypePlugins={REHYPE} components={COMPONENTS}>
        {text}
      </ReactMarkdown>
    </div>
  );
});

/** While text still comes, only its last block is parsed again; once complete it is parsed as one. */
export default function MarkdownView({ text, complete }: { text: string; complete: boolean }) {
  const blocks = complete ? [text] : markdownBlocks(text);
  // biome-ignore lint/suspicious/noArrayIndexKey: blocks are only ever added at the end
  return blocks.map((block, index) => <Block key={index} text={block} />);
}
