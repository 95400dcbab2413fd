// @vitest-environment jsdom
import "../testing/dom";
import { render } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import MarkdownView from "./MarkdownView";

function show(text: string, complete = true): HTMLElement {
  return render(<MarkdownView text={text} complete={complete} />).container;
}

describe("MarkdownView", () => {
  it("formats tables, lists and code", () => {
    const page = show("| a | b |\n| - | - |\n| 1 | 2 |\n\n- one\n- two\n\n```\ncode\n```");
    expect(page.querySelectorAll("td")).toHaveLength(2);
    expect(page.querySelectorAll("li")).toHaveLength(2);
    expect(page.querySelector("pre")?.textContent).toBe("code\n");
  });

  it("looks the same while it streams as when it is complete", () => {
    const text = "# Title\n\nOne **two**\n\n```\na\n\nb\n```\n\nEnd";
    const bare = (page: HTMLElement) => page.textContent?.replace(/\s+/g, "");
    expect(bare(show(text, false))).toBe(bare(show(text, true)));
  });

  it.each([
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    '<svg onload="alert(1)"><a href="javascript:alert(1)">x</a></svg>',
    '<iframe src="https://elsewhere.example"></iframe>',
    "[click](javascript:alert(1))",
    "[click](data:text/html,<script>alert(1)</script>)",
    "![x](https://elsewhere.example/pixel.png)",
    '<form action="https://elsewhere.example"><input name="q"></form>',
    "<style>body { display: none }</style>",
  ])("keeps %j inert", (text) => {
    const page = show(text);
    expect(page.querySelector("script, img, svg, iframe, form, input, style, object, link")).toBeNull();
    for (const element of page.querySelectorAll("*")) {
      expect(element.getAttributeNames().filter((name) => name.startsWith("on"))).toEqual([]);
      expect(element.getAttribute("href") ?? "").not.toMatch(/^(javascript|data):/i);
    }
  });

  it("shows HTML as the text that it is", () => {
    expect(show("Use <b>bold</b> sparingly").textContent).toContain("<b>bold</b>");
  });

  it("links a picture instead of loading it", () => {
    const link = show("![a chart](https://elsewhere.example/c.png)").querySelector("a");
    expect(link?.textContent).toBe("a chart");
    expect(link?.getAttribute("rel")).toBe("noopener noreferrer nofollow");
  });
});
