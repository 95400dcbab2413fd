/** axe on pages without data, without an answer yet, refused one, and on a phone. */

import type { Page } from "@playwright/test";
import { arrive, LOOKS, type Look, settled, squeezed, violations, walk, withAxe } from "./axe";
import { cast, LISTS, placesOf } from "./places";
import { expect, test } from "./world";

/** What stands for missing data is alike everywhere: it is judged in high contrast on this many addresses. */
const ALL_LOOKS = 5;

/** Lets the answers through, or holds them back. */
class Gate {
  private held: (() => void)[] | null = null;

  pass(): Promise<void> {
    const { held } = this;
    return held === null ? Promise.resolve() : new Promise((done) => held.push(done));
  }

  close(): void {
    this.held ??= [];
  }

  open(): void {
    const held = this.held ?? [];
    this.held = null;
    for (const release of held) release();
  }
}

/** Answers every call for data itself; who asks and what the server is stay true. */
async function answered(page: Page, status: number, body: unknown): Promise<Gate> {
  const gate = new Gate();
  await page.route(/\/api\/(?!info|me\b)/, async (route) => {
    await gate.pass();
    // Whoever has left the page does not wait any more.
    await route
      .fulfill({ status, contentType: "application/json", body: JSON.stringify(body) })
      .catch(() => undefined);
  });
  return gate;
}

test("pages without anything on them pass axe", async ({ page }) => {
  test.setTimeout(120_000);
  const found: string[] = [];
  await withAxe(page);
  await answered(page, 200, { items: [], total: 0, limit: 20, offset: 0, has_more: false });
  await page.goto("/ui/");
  for (const [at, path] of LISTS.entries()) {
    await walk(page, path);
    const looks: readonly Look[] = at < ALL_LOOKS ? LOOKS : ["light", "dark"];
    found.push(...(await violations(page, `empty ${path}`, looks)));
  }
  expect(found).toEqual([]);
});

test("pages that wait for their data, and are then refused it, pass axe, and say so", async ({
  page,
  agio,
}) => {
  test.setTimeout(180_000);
  const places = placesOf(await cast(agio));
  const found: string[] = [];
  await withAxe(page);
  const refusal = {
    type: "denied",
    title: "Denied",
    status: 403,
    code: "denied",
    detail: "You may not see this.",
  };
  let waited = 0;
  const gate = await answered(page, 403, refusal);
  await page.goto("/ui/");
  for (const [at, path] of places.entries()) {
    const looks: readonly Look[] = at < ALL_LOOKS ? LOOKS : ["light", "dark"];
    gate.close();
    await arrive(page, path);
    waited += Math.min(1, await page.locator(".skeleton").count());
    found.push(...(await violations(page, `loading ${path}`, looks)));
    gate.open();
    await settled(page);
    found.push(...(await violations(page, `error ${path}`, looks)));
  }
  expect(found).toEqual([]);
  expect(waited).toBeGreaterThan(LISTS.length);
});

test("a phone shows every address without loss, and passes axe", async ({ page, agio }) => {
  test.setTimeout(120_000);
  const players = await cast(agio);
  const found: string[] = [];
  await page.setViewportSize({ width: 360, height: 740 });
  await withAxe(page);
  await page.goto("/ui/");
  await settled(page);
  for (const path of placesOf(players)) {
    await walk(page, path);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    if (wide > 360) found.push(`${path}: ${wide} px wide`);
    found.push(...(await squeezed(page, `phone ${path}`)));
    found.push(...(await violations(page, `phone ${path}`, ["light"])));
  }
  expect(found).toEqual([]);
});
