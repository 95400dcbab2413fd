/** What a run and its page come through. On both stores. */

import { answer, ask, chatOf, counted, expectWhole, runIdOf, status } from "./chat";
import { expect, test } from "./world";

test("workers die in mid-stream: the answer goes on, without gap or doubling", async ({
  page,
  agio,
  server,
}) => {
  await page.goto("/ui/chat");
  await ask(page, "Please count to 300");
  await expect(answer(page)).toContainText("20");
  const runId = runIdOf(page);
  const first = await agio.owner(runId);
  await server.killWorker(first);
  const second = await agio.owner(runId, first);
  await expect(answer(page)).toContainText("20");
  // Whichever process the page reads from, it dies too; only the run's owner is left.
  await server.killOthers(second);
  await expectWhole(page, agio, runId, counted(300));
  await expect(page.locator(".notice", { hasText: "Its worker died" })).toBeVisible();
});

test("a pause outlives the worker that was asked for it; resume goes on from there", async ({
  page,
  agio,
  server,
}) => {
  await page.goto("/ui/chat");
  await ask(page, "Please count to 300");
  await expect(answer(page)).toContainText("20");
  await page.getByRole("button", { name: "Pause" }).click();
  const runId = runIdOf(page);
  await server.killWorker(await agio.owner(runId));
  await expect(status(page, "Paused")).toBeVisible();
  await page.getByRole("button", { name: "Resume" }).click();
  await expectWhole(page, agio, runId, counted(300));
});

test("two tabs, a reload in mid-stream, and a Stop that all of them see", async ({ page, context, agio }) => {
  const run = await agio.start({ message: "Please count to 600" });
  await page.goto(chatOf(run));
  const other = await context.newPage();
  await other.goto(chatOf(run));
  for (const tab of [page, other]) await expect(answer(tab)).toContainText("30");
  await page.reload();
  await expect(answer(page)).toContainText(" 60 ");
  await other.getByRole("button", { name: "Stop" }).click();
  for (const tab of [page, other]) await expect(status(tab, "Cancelled")).toBeVisible();
  const texts = await Promise.all([page, other].map((tab) => answer(tab).textContent()));
  expect(texts[0]).toBe(texts[1]);
  expect(counted(600).startsWith((texts[0] ?? "").trimEnd())).toBe(true);
  expect((await agio.until(run.id, "cancelled")).status).toBe("cancelled");
  await other.close();
});
