/** What stories see and do on the chat's page. */

import type { Page } from "@playwright/test";
import type { Agio } from "./world";
import { expect } from "./world";

export const answer = (page: Page) => page.locator(".message.assistant .prose").last();

export const status = (page: Page, word: string) =>
  page.locator(".rail .run-head .status", { hasText: word });

export const runIdOf = (page: Page): string => new URL(page.url()).searchParams.get("run") ?? "";

/** Where the chat shows that run. */
export const chatOf = ({ id, session_id }: { readonly id: string; readonly session_id: string }): string =>
  `/ui/chat/${session_id}?run=${id}`;

export const ask = async (page: Page, text: string): Promise<void> => {
  await page.getByRole("textbox", { name: "Message" }).fill(text);
  await page.getByRole("button", { name: "Send", exact: true }).click();
};

/** "1 2 3 … n.": what the demo answers when it is asked to count to n. */
export const counted = (n: number): string => `${Array.from({ length: n }, (_, at) => at + 1).join(" ")}.`;

/** The page shows the run's whole answer, every word once, and the run's last event. */
export async function expectWhole(page: Page, agio: Agio, runId: string, text: string): Promise<void> {
  // A stream that was away for long is tried again after 15 s at most.
  await expect(status(page, "Completed")).toBeVisible({ timeout: 45_000 });
  const run = await agio.until(runId, "completed");
  expect(run.response?.startsWith(text)).toBe(true);
  await expect(answer(page)).toHaveText(run.response ?? "");
  await expect(page.locator(".rail .figure", { hasText: "Last event" }).locator("dd")).toHaveText(
    run.last_seq.toLocaleString("en-US"),
  );
}
