/** axe on every address, in every look, and on every dialog. One page for all; looks are switched by an attribute. */

import { squeezed, violations, walk, withAxe } from "./axe";
import { cast, dialogsOf, placesOf } from "./places";
import { expect, test } from "./world";

test("every address passes axe: light, dark and high contrast; and no dialog breaks it", async ({
  page,
  agio,
}) => {
  test.setTimeout(300_000);
  const players = await cast(agio);
  const found: string[] = [];
  await withAxe(page);
  await page.goto("/ui/");
  for (const path of placesOf(players)) {
    await walk(page, path);
    found.push(...(await squeezed(page, path)), ...(await violations(page, path)));
  }
  for (const { name, path, open } of dialogsOf(players)) {
    await walk(page, path);
    await open(page);
    await expect(page.getByRole("dialog")).toBeVisible();
    found.push(...(await violations(page, `dialog ${name}`)));
    await page.keyboard.press("Escape");
    await expect(page.getByRole("dialog")).toHaveCount(0);
  }
  expect(found).toEqual([]);
});
