import { describe, expect, it } from "vitest";
import { markdownBlocks } from "./markdown-blocks";

describe("markdownBlocks", () => {
  it("cuts paragraphs, headings and tables apart", () => {
    expect(markdownBlocks("# Title\n\nOne\ntwo\n\n| a |\n| - |\n")).toEqual([
      "# Title",
      "One\ntwo",
      "| a |\n| - |\n",
    ]);
  });

  it("keeps fenced code whole, blank lines and all", () => {
    const code = "```python\na = 1\n\nb = 2\n```";
    expect(markdownBlocks(`Before\n\n${code}\n\nAfter`)).toEqual(["Before", code, "After"]);
  });

  it("keeps an unfinished fence open to the end", () => {
    const code = "```\none\n\ntwo\n\nthree";
    expect(markdownBlocks(`Text\n\n${code}`)).toEqual(["Text", code]);
  });

  it("does not close a fence with a shorter or another one", () => {
    const code = "````\n```\n\n~~~\n\nstill code\n````";
    expect(markdownBlocks(`${code}\n\nAfter`)).toEqual([code, "After"]);
  });

  it("keeps what is indented with its list item", () => {
    const item = "- one\n\n  more of one";
    expect(markdownBlocks(`${item}\n\nAfter`)).toEqual([item, "After"]);
  });

  it("has no block for nothing", () => {
    expect(markdownBlocks("")).toEqual([]);
    expect(markdownBlocks("\n\n")).toEqual([]);
  });

  it("changes only the last block when text is added", () => {
    const text = "# T\n\nOne **two**\n\n```\ncode\n\nmore\n```\n\n- a\n- b\n\nEnd";
    for (let length = 1; length < text.length; length += 1) {
      const before = markdownBlocks(text.slice(0, length)).slice(0, -1);
      const after = markdownBlocks(text.slice(0, length + 1));
      expect(after.slice(0, before.length), text.slice(0, length)).toEqual(before);
    }
  });

  it("loses no line", () => {
    const text = "a\n\n\n\nb\n\n    indented\n\nc";
    const lines = (source: string) => source.split("\n").filter((line) => line.trim() !== "");
    expect(lines(markdownBlocks(text).join("\n\n"))).toEqual(lines(text));
  });
});
