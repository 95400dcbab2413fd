import { answer, ask, chatOf, counted, expectWhole, status } from "./chat";
import { expect, test } from "./world";

/** A store could not spoil it. */
const ONCE = { tag: "@once" };

test("a message streams its answer, and the address leads back to it", ONCE, async ({ page }) => {
  await page.goto("/ui/chat");
  await ask(page, "What is 17 * 23?");
  await expect(answer(page)).toContainText("391");
  await expect(status(page, "Completed")).toBeVisible();
  await expect(page).toHaveURL(/\/ui\/chat\/[^-/][^/]*\?run=/);
  const text = await answer(page).textContent();
  await page.reload();
  await expect(answer(page)).toHaveText(text ?? "");
});

test("stop ends a run on the server, also after a reload in its midst", async ({ page, agio }) => {
  await page.goto("/ui/chat");
  await ask(page, "Please count to 2000, slowly");
  await expect(answer(page)).toContainText("5");
  const runId = new URL(page.url()).searchParams.get("run") ?? "";
  await page.reload();
  await expect(answer(page)).toContainText("5");
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(status(page, "Cancelled")).toBeVisible();
  expect((await agio.call<{ status: string }>("GET", `/api/runs/${runId}`)).status).toBe("cancelled");
});

test("keyboard alone: chat, pause, fork, compare", async ({ page }) => {
  await page.goto("/ui/");
  await expect(page.getByRole("link", { name: "Start a chat" })).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("c");
  await expect(page).toHaveURL(/\/ui\/chat/);
  await page.getByRole("textbox", { name: "Message" }).focus();
  await page.keyboard.type("Please count to 400, slowly");
  await page.keyboard.press("Enter");
  await expect(answer(page)).toContainText("3");
  await page.locator("#conversation").focus();
  await page.keyboard.press("p");
  await expect(page.locator(".rail .status").first()).toContainText(/Paus/);
  // An answer that has begun is finished before the run rests; stop this one by the palette's neighbour.
  const stop = page.getByRole("button", { name: "Stop" });
  await stop.focus();
  await page.keyboard.press("Enter");
  await expect(status(page, "Cancelled")).toBeVisible();
  await page.locator("#conversation").focus();
  await page.keyboard.press("f");
  await expect(page.getByRole("heading", { name: "Replay plan" })).toBeVisible();
  await page.getByRole("textbox", { name: "Last question" }).focus();
  await page.keyboard.type("What is 2 + 2?");
  await page.getByRole("button", { name: "Launch" }).focus();
  await page.keyboard.press("Enter");
  await expect(answer(page)).toContainText("4");
  await expect(status(page, "Completed")).toBeVisible();
  await page.keyboard.press("g");
  await page.keyboard.press("r");
  const rows = page.locator("tbody .row-link");
  await rows.nth(0).focus();
  await page.keyboard.press("m");
  await expect(page.locator("tr[data-marked]")).toHaveCount(1);
  await rows.nth(1).focus();
  await page.keyboard.press("m");
  await expect(page.locator("tr[data-marked]")).toHaveCount(2);
  await page.keyboard.press("c");
  await expect(page).toHaveURL(/\/ui\/compare/);
  await expect(page.getByText("First divergence")).toBeVisible();
  await page.keyboard.press("n");
  await expect(page).toHaveURL(/step=/);
});

test("a fork with an edit leaves its parent untouched, and compare finds where they part", async ({
  page,
  agio,
}) => {
  const parent = await agio.finished("What is 6 * 7?");
  const before = await agio.call("GET", `/api/runs/${parent.id}/messages`);
  await page.goto(`/ui/runs/${parent.id}`);
  await page.locator(".grid-row", { hasText: "step 1" }).click();
  await expect(page).toHaveURL(/span=/);
  await page.getByRole("tab", { name: "Diff" }).click();
  await expect(page.locator(".diff")).toContainText("Added");
  await page.reload();
  await expect(page.locator(".grid-row[aria-selected=true]")).toContainText("step 1");
  await expect(page.locator(".diff")).toContainText("Added");
  await page.getByRole("button", { name: "Fork", exact: true }).click();
  await expect(page.locator(".plan")).toContainText("reused, free");
  await page.getByRole("textbox", { name: "Last question" }).fill("What is 6 * 8?");
  await page.getByRole("button", { name: "Launch" }).click();
  await expect(answer(page)).toContainText("48");
  const forked = new URL(page.url()).searchParams.get("run") ?? "";
  expect(await agio.call("GET", `/api/runs/${parent.id}/messages`)).toEqual(before);
  await page.goto(`/ui/compare?a=${parent.id}&b=${forked}`);
  await expect(page.locator(".compare-row", { hasText: "First divergence" })).toBeVisible();
  await expect(page.locator(".compare-row[data-kind=changed]").first()).toBeVisible();
});

test("two approvals, answered in the other order", async ({ page, agio }) => {
  const waiting = await agio.call<{ items: { run_id: string }[] }>("GET", "/api/approvals?status=pending");
  // Of other files' runs, on the same server.
  for (const { run_id } of waiting.items) await agio.call("POST", `/api/runs/${run_id}/cancel`);
  const one = await agio.start({ message: "Send a message to Ann saying hello" });
  const two = await agio.start({ message: "Send a message to Ben saying goodbye" });
  await agio.until(one.id, "waiting");
  await agio.until(two.id, "waiting");
  await page.goto("/ui/approvals");
  await expect(page).toHaveTitle(/^\(2\)/);
  const queue = page.locator(".queue-list button");
  await queue.nth(1).click();
  await page.keyboard.press("y");
  await expect(queue).toHaveCount(1);
  await page.getByRole("button", { name: "Reject" }).click();
  await page.getByRole("textbox", { name: /Reason/ }).fill("not now");
  await page.getByRole("button", { name: "Reject" }).click();
  await expect(page.getByText("No run waits for a decision.")).toBeVisible();
  await agio.until(one.id, "completed");
  await agio.until(two.id, "completed");
});

test("what a tool brings home stays text", ONCE, async ({ page, agio }) => {
  await agio.call("POST", "/api/agents", { id: "reader", name: "Reader", tools: ["read_page"] });
  await page.goto("/ui/chat?agent=reader");
  await ask(page, "Please read page");
  await expect(status(page, "Completed")).toBeVisible();
  const call = page
    .locator("details.fold")
    .filter({ has: page.locator(".name", { hasText: /^read_page$/ }) });
  await call.locator("summary").click();
  await expect(call).toContainText("<script>");
  const runId = new URL(page.url()).searchParams.get("run");
  await page.goto(`/ui/runs/${runId}?view=messages`);
  await expect(page.locator(".messages")).toContainText("<script>");
  expect(await page.evaluate(() => (window as { pwned?: number }).pwned)).toBeUndefined();
  expect(await page.locator(".messages :is(script, iframe, img, form, style)").count()).toBe(0);
});

test("a stream that is cut after each event tells everything, and nothing twice", async ({
  page,
  agio,
  wire,
}) => {
  // A reconnect takes half a second and more: few words.
  await agio.call("POST", "/api/agents", {
    id: "terse",
    name: "Terse",
    provider: "terse",
    model: "terse",
    tools: [],
  });
  const started = await agio.start({ agent_id: "terse", message: "Please count" });
  const run = await agio.until(started.id, "completed");
  wire.turn("piecemeal");
  const before = wire.streams;
  await page.goto(chatOf(run));
  await expectWhole(page, agio, run.id, "1 2 3.");
  expect(wire.streams - before).toBeGreaterThanOrEqual(run.last_seq);
});

test("eight tabs of one browser share one stream", ONCE, async ({ page, context, agio, wire }) => {
  const run = await agio.start({ message: "Please count to 600, slowly" });
  const before = wire.streams;
  await page.goto(chatOf(run));
  const tabs = [page];
  for (let i = 1; i < 8; i += 1) tabs.push(await context.newPage());
  await Promise.all(tabs.slice(1).map((tab) => tab.goto(chatOf(run))));
  for (const tab of tabs) await expect(answer(tab)).toContainText("12");
  // A tab that joins opens it anew.
  await expect.poll(() => wire.live).toBe(1);
  expect(wire.streams - before).toBeLessThanOrEqual(8);
  await tabs[7]?.getByRole("button", { name: "Stop" }).click();
  for (const tab of tabs) await expect(status(tab, "Cancelled")).toBeVisible();
  const texts = await Promise.all(tabs.map((tab) => answer(tab).textContent()));
  expect(texts).toEqual(texts.map(() => texts[0]));
  expect(counted(600).startsWith((texts[0] ?? "").trimEnd())).toBe(true);
  for (const tab of tabs.slice(1)) await tab.close();
});

test("offline in mid-stream: the page says so, and catches up", async ({ page, context, agio, wire }) => {
  const run = await agio.start({ message: "Please count to 200" });
  await page.goto(chatOf(run));
  await expect(answer(page)).toContainText("20");
  await context.setOffline(true);
  wire.turn("down");
  await expect(page.locator("#connection")).toContainText("Offline");
  await expect(page.getByText(/nothing you do is queued/)).toBeVisible();
  await agio.until(run.id, "completed");
  wire.turn("fair");
  await context.setOffline(false);
  await expectWhole(page, agio, run.id, counted(200));
  await expect(page.locator("#connection")).not.toContainText("Offline");
});
