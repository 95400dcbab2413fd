/** axe on every address, in every look and state. One page for each state; looks are switched by an attribute. */

import type { Page } from "@playwright/test";
import { settled, violations, walk, withAxe } from "./axe";
import { cast, dialogsOf, LISTS, placesOf } from "./places";
import { expect, test } from "./world";

/** Answers every call for data itself; who asks and what the server is stay true. */
async function answered(page: Page, status: number, body: unknown): Promise<void> {
  await page.route(/\/api\/(?!info|me\b)/, (route) =>
    route.fulfill({ status, contentType: "application/json", body: JSON.stringify(body) }),
  );
}

test("every address passes axe: light, dark and high contrast; and no dialog breaks it", async ({
  page,
  agio,
}) => {
  test.setTimeout(180_000);
  const players = await cast(agio);
  const found: string[] = [];
  await withAxe(page);
  await page.goto("/ui/");
  for (const path of placesOf(players)) {
    await walk(page, path);
    found.push(...(await violations(page, path)));
  }
  for (const { name, path, open } of dialogsOf(players)) {
    await walk(page, path);
    await open(page);
    await expect(page.getByRole("dialog")).toBeVisible();
    found.push(...(await violations(page, `dialog ${name}`, ["light", "dark"])));
    await page.keyboard.press("Escape");
    await expect(page.getByRole("dialog")).toHaveCount(0);
  }
  expect(found).toEqual([]);
});

test("pages without anything on them pass axe", async ({ page }) => {
  test.setTimeout(120_000);
  const found: string[] = [];
  await withAxe(page);
  await answered(page, 200, { items: [], total: 0, limit: 20, offset: 0, has_more: false });
  await page.goto("/ui/");
  for (const path of LISTS) {
    await walk(page, path);
    found.push(...(await violations(page, `empty ${path}`, ["light", "dark"])));
  }
  expect(found).toEqual([]);
});

test("pages that are refused their data pass axe, and say so", async ({ page, agio }) => {
  test.setTimeout(120_000);
  const players = await cast(agio);
  const found: string[] = [];
  await withAxe(page);
  const refusal = {
    type: "denied",
    title: "Denied",
    status: 403,
    code: "denied",
    detail: "You may not see this.",
  };
  await answered(page, 403, refusal);
  await page.goto("/ui/");
  for (const path of placesOf(players)) {
    await walk(page, path);
    found.push(...(await violations(page, `error ${path}`, ["light", "dark"])));
  }
  expect(found).toEqual([]);
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
    found.push(...(await violations(page, `phone ${path}`, ["light"])));
  }
  expect(found).toEqual([]);
});
