/** Cuts streaming Markdown into blocks, so that only the last one is parsed again when text is added. */

const FENCE = /^ {0,3}(`{3,}|~{3,})/;

/**
 * Returns the blocks of `text`; joined with blank lines they read as the whole does.
 *
 * Cuts only at blank lines outside fenced code, and only before a line that starts at the margin, so that what is
 * indented stays with the list that it belongs to.
 */
export function markdownBlocks(text: string): readonly string[] {
  const blocks: string[] = [];
  let open: string[] = [];
  let fence: string | null = null;
  let blank = false;
  for (const line of text.split("\n")) {
    const cut = blank && fence === null && /^\S/.test(line) && open.some((earlier) => earlier.trim() !== "");
    if (cut) {
      blocks.push(open.join("\n").trimEnd());
      open = [];
    }
    const mark = FENCE.exec(line)?.[1];
    if (mark !== undefined) {
      if (fence === null) fence = mark;
      else if (mark.startsWith(fence)) fence = null;
    }
    blank = line.trim() === "";
    open.push(line);
  }
  const last = open.join("\n");
  if (last.trim() !== "") blocks.push(last);
  return blocks;
}
