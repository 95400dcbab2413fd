/** Takes the pictures of docs/ui: each key screen, light and dark, with the same runs behind them. */

import { resolve } from "node:path";
import type { Page } from "@playwright/test";
import { keep } from "./places";
import { type Agio, expect, test } from "./world";

const FOLDER = resolve(import.meta.dirname, "../../docs/ui");

interface Scene {
  readonly name: string;
  readonly path: string;
  ready(page: Page): Promise<unknown>;
}

async function scenes(agio: Agio): Promise<Scene[]> {
  const first = await agio.finished("What is 17 * 23, then what is the time?");
  const answer = await agio.finished("Please count to 30", first.session_id);
  const { items } = await agio.call<{ items: { id: string; step: number }[] }>(
    "GET",
    `/api/runs/${first.id}/checkpoints`,
  );
  const middle = items[1]?.id ?? "";
  const fork = await agio.call<{ run_id: string }>("POST", `/api/checkpoints/${middle}/fork`, {
    modifications: { system_prompt: "Answer like a pirate." },
  });
  await agio.until(fork.run_id, "completed");
  await keep(agio);
  const asking = await agio.start({ message: "Send a message to Ann saying hello" });
  await agio.until(asking.id, "waiting");
  const also = await agio.start({ message: "Send a message to Ben saying goodbye" });
  await agio.until(also.id, "waiting");
  const text = (wanted: string) => (page: Page) =>
    page.getByText(wanted).first().waitFor({ timeout: 10_000 });
  return [
    { name: "home", path: "/", ready: text("Send a message to Ann") },
    {
      name: "chat",
      path: `/chat/${first.session_id}?run=${first.id}`,
      ready: (page) => page.locator(".checkpoints li").first().waitFor(),
    },
    { name: "chat-approval", path: `/chat/-?run=${asking.id}`, ready: text("Edit arguments") },
    { name: "runs", path: "/runs", ready: (page) => page.locator("tbody tr").first().waitFor() },
    {
      name: "run",
      path: `/runs/${first.id}?span=${encodeURIComponent(`${first.id}/1/1`)}`,
      ready: (page) => page.locator(".grid-row").nth(3).waitFor(),
    },
    {
      name: "run-tree",
      path: `/runs/${answer.id}?view=tree&ckpt=${encodeURIComponent(answer.last_checkpoint_id)}&tab=diff`,
      ready: (page) => page.locator(".diff").waitFor(),
    },
    { name: "fork", path: `/fork/${encodeURIComponent(middle)}`, ready: text("reused, free") },
    { name: "compare", path: `/compare?a=${first.id}&b=${fork.run_id}`, ready: text("Totals") },
    { name: "approvals", path: "/approvals", ready: text("Edit arguments") },
    { name: "sessions", path: "/sessions", ready: text("17 * 23") },
    { name: "agents", path: "/agents", ready: text("Assistant") },
    { name: "agent", path: "/agents/assistant", ready: text("Playground") },
    { name: "tools", path: "/tools", ready: text("Try it") },
    { name: "models", path: "/models", ready: text("Providers") },
    { name: "crews", path: "/crews", ready: text("Agents (YAML)") },
    {
      name: "crew-draft",
      path: "/crews",
      ready: async (page) => page.getByRole("button", { name: "Draft a crew" }).click(),
    },
    { name: "tasks", path: "/tasks", ready: text("Expected output") },
    { name: "templates", path: "/templates", ready: text("Dear {customer}") },
    { name: "schedules", path: "/schedules", ready: text("Next fires") },
    { name: "traces", path: "/traces", ready: (page) => page.locator(".trace-line").first().waitFor() },
    { name: "keys", path: "/settings/keys", ready: text("openai") },
    { name: "settings", path: "/settings/appearance", ready: text("Contrast") },
    { name: "login", path: "/login", ready: text("With a password") },
  ];
}

test("pictures of each key screen", async ({ page, agio }) => {
  test.setTimeout(150_000);
  const only = process.env.ONLY?.split(",");
  for (const { name, path, ready } of await scenes(agio)) {
    if (only !== undefined && !only.includes(name)) continue;
    for (const scheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
      await page.goto(`/ui${path}`);
      await ready(page);
      await page.evaluate(() => document.fonts.ready);
      await page.screenshot({ path: `${FOLDER}/${name}-${scheme}.png`, animations: "disabled" });
    }
  }
  await expect(page.locator("h1")).toBeVisible();
});
