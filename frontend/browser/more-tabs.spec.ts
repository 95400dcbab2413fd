import type { Page } from "@playwright/test";
import { expect, test } from "./world";

const answer = (page: Page) => page.locator(".message.assistant").last();
const status = (page: Page, word: string) => page.locator(".rail .run-head .status", { hasText: word });

test("eight tabs of one browser share one stream", async ({ page, context, agio }) => {
  const run = await agio.start({ message: "Please count to 600, slowly" });
  const place = `/ui/chat/${run.session_id}?run=${run.id}`;
  await page.goto(place);
  const tabs = [page];
  for (let i = 1; i < 8; i += 1) {
    const tab = await context.newPage();
    await tab.goto(place);
    tabs.push(tab);
  }
  for (const tab of tabs) await expect(answer(tab)).toContainText("12");
  await tabs[7]?.getByRole("button", { name: "Stop" }).click();
  for (const tab of tabs) await expect(status(tab, "Cancelled")).toBeVisible();
  const texts = await Promise.all(tabs.map((tab) => answer(tab).textContent()));
  expect(texts).toEqual(texts.map(() => texts[0]));
  for (const tab of tabs.slice(1)) await tab.close();
});
