/** What axe finds on a page, one line for each broken rule. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import type { AxeResults, RunOptions } from "axe-core";

const SOURCE = readFileSync(join(import.meta.dirname, "../node_modules/axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
/** All that can differ between two looks of one page. */
const COLOURS = ["color-contrast", "link-in-text-block"];

export const LOOKS = ["light", "dark", "light more", "dark more"] as const;
export type Look = (typeof LOOKS)[number];

declare global {
  interface Window {
    axe: { run(root: Document, options: RunOptions): Promise<AxeResults> };
  }
}

/** Every page that is loaded from now on has axe. */
export async function withAxe(page: Page): Promise<void> {
  await page.addInitScript({ content: SOURCE });
  await page.emulateMedia({ reducedMotion: "reduce" });
}

/** Goes to an address within the page, without loading it anew, and waits until it shows what it has. */
export async function walk(page: Page, path: string): Promise<void> {
  await arrive(page, path);
  await settled(page);
}

/** As `walk`, but does not wait for data. */
export async function arrive(page: Page, path: string): Promise<void> {
  await page.evaluate((href) => window.__TSR_ROUTER__?.history.push(href), `/ui${path}`);
  await there(page);
}

export async function settled(page: Page): Promise<void> {
  await there(page);
  await page.waitForFunction(() => document.querySelector(".skeleton") === null);
}

async function there(page: Page): Promise<void> {
  await page.waitForFunction(() => {
    // The router's own name for itself.
    const router = window.__TSR_ROUTER__;
    if (router === undefined) return false;
    const { state, latestLocation } = router;
    const arrived = state.status === "idle" && state.resolvedLocation?.href === latestLocation.href;
    return arrived && document.querySelector("h1") !== null;
  });
}

/** Ways to other pages that are there, and too low to be seen or hit. */
export async function squeezed(page: Page, where: string): Promise<string[]> {
  const heights = await page
    .locator(".sections")
    .evaluateAll((all) => all.map(({ clientHeight }) => clientHeight));
  return heights.filter((px) => px < 24).map((px) => `${where}: a bar of links is ${px} px high`);
}

/** Judges the page in these looks: in the first by every rule, in the others by what a look can spoil. */
export async function violations(
  page: Page,
  where: string,
  looks: readonly Look[] = LOOKS,
): Promise<string[]> {
  const found: string[] = [];
  for (const [at, look] of looks.entries()) {
    const [theme = "light", contrast = "system"] = look.split(" ");
    const runOnly = at === 0 ? { type: "tag", values: TAGS } : { type: "rule", values: COLOURS };
    const broken = await page.evaluate(
      async ({ theme, contrast, options }) => {
        Object.assign(document.documentElement.dataset, { theme, contrast });
        const { violations } = await window.axe.run(document, options);
        return violations.map(
          ({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ target }) => target.join(" "))}`,
        );
      },
      { theme, contrast, options: { runOnly, resultTypes: ["violations"] } as RunOptions },
    );
    found.push(...broken.map((one) => `${where} (${look}): ${one}`));
  }
  return found;
}
