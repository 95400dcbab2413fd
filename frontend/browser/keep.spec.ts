/** What is kept: made, run and copied as a command. */

import { expect, test } from "./world";

test("a drafted crew is looked at, saved, scheduled and run; its run opens", async ({ page, agio }) => {
  await page.goto("/ui/crews");
  await page.getByRole("button", { name: "Draft a crew" }).click();
  await page.getByRole("textbox", { name: "What shall it do?" }).fill("Write a short briefing about bees");
  await page.getByRole("button", { name: "Write the draft" }).click();
  await expect(page.getByRole("textbox", { name: "Agents (YAML)" })).not.toHaveValue("");
  await page.getByRole("textbox", { name: "Name", exact: true }).fill("Bees");
  await page.getByRole("button", { name: "Create", exact: true }).click();
  await expect(page.getByRole("heading", { name: "Bees" })).toBeVisible();
  await page.getByRole("button", { name: "Check" }).click();
  await expect(page.getByText("This crew can run.")).toBeVisible();
  await page.getByRole("button", { name: "Schedule it" }).click();
  await page.getByRole("dialog").getByRole("textbox", { name: "Name", exact: true }).fill("Weekly bees");
  await page.getByRole("dialog").getByRole("button", { name: "Create", exact: true }).click();
  await expect(page.getByRole("heading", { name: "Weekly bees" })).toBeVisible();
  await expect(page.getByText("Crew Bees")).toBeVisible();
  await page.goBack();
  await page.getByRole("button", { name: "Run the crew" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Run the crew" }).click();
  await expect(page).toHaveURL(/\/ui\/runs\/[^/]+$/);
  const runId = new URL(page.url()).pathname.split("/").at(-1) ?? "";
  await agio.until(runId, "completed");
  await expect(page.locator(".grid-row").nth(2)).toBeVisible();
});

test("a schedule is made, run now and switched off", async ({ page, agio }) => {
  await page.goto("/ui/schedules");
  await page.getByRole("button", { name: "New schedule" }).click();
  await page.getByRole("textbox", { name: "Name", exact: true }).fill("Ping");
  await page.getByRole("button", { name: "Create", exact: true }).click();
  await expect(page.getByText("needed")).toBeVisible();
  await page.getByRole("textbox", { name: "Message" }).fill("What is 2 + 3?");
  await page.getByRole("button", { name: "Create", exact: true }).click();
  await page.getByRole("button", { name: "Run now" }).click();
  await page.getByRole("link", { name: /Open run/ }).click();
  await expect(page).toHaveURL(/\/ui\/runs\//);
  await agio.until(new URL(page.url()).pathname.split("/").at(-1) ?? "", "completed");
  await page.goBack();
  await page.getByRole("button", { name: "Switch off" }).click();
  await expect(page.getByText("It is switched off: nothing fires.")).toBeVisible();
  const { items } = await agio.call<{ items: { enabled: boolean; name: string }[] }>("GET", "/api/schedules");
  expect(items.find(({ name }) => name === "Ping")?.enabled).toBe(false);
});

test("commands can be copied for a shell, a script and the program, without secrets", async ({
  page,
  agio,
  context,
}) => {
  const run = await agio.finished("What is 6 * 7?");
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.goto(`/ui/runs/${run.id}`);
  const copied = async (form: string) => {
    await page.getByRole("combobox", { name: "Copy as" }).selectOption({ label: form });
    await expect(page.getByText(`Copied: ${form.replace(":", ",")}`)).toBeVisible();
    return page.evaluate(() => navigator.clipboard.readText());
  };
  const origin = new URL(page.url()).origin;
  const fork = `/api/checkpoints/${encodeURIComponent(run.last_checkpoint_id)}/fork`;
  expect(await copied("Fork: curl")).toContain(`curl -X POST '${origin}${fork}'`);
  expect(await copied("Fork: Python")).toContain("httpx.request(");
  expect(await copied("Fork: CLI")).toContain(`agio call POST '${fork}'`);
  await page.goto("/ui/chat");
  await page.getByRole("textbox", { name: "Message" }).fill("What is 6 * 7?");
  const sending = await copied("Send: curl");
  expect(sending).toContain(`curl -X POST '${origin}/api/chat'`);
  expect(sending).toContain('"message":"What is 6 * 7?"');
  await page.goto("/ui/settings/access");
  const people = page.getByRole("region", { name: "People" });
  await people.getByRole("textbox", { name: "User" }).fill("ann");
  await people.getByLabel("Password").fill("correct horse battery");
  await people.getByRole("combobox", { name: "Copy as" }).selectOption({ label: "Create: curl" });
  await expect(people.getByText("Copied: Create, curl")).toBeVisible();
  const made = await page.evaluate(() => navigator.clipboard.readText());
  expect(made).toContain(`"name":"ann","password":"…"`);
});

test("the class that others import reads a chat that a POST began", async ({ page }) => {
  await page.goto("/ui/runs");
  const told = await page.evaluate(async () => {
    // Served for whoever wants it; the compiler has no file of this name.
    const source = "/ui/event-source.js";
    const { AgioEventSource: EventSource } = await import(source);
    const lines: string[] = [];
    await new Promise<void>((done) => {
      const eventSource = new EventSource("/api/chat", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ agent_id: "assistant", message: "Please count to 5", stream: true }),
      });
      eventSource.addEventListener("content_delta", (event: MessageEvent<string>) => {
        lines.push(JSON.parse(event.data).content);
      });
      eventSource.addEventListener("run_completed", (event: MessageEvent<string>) => {
        lines.push(`Completed: ${JSON.parse(event.data).metrics.total_tokens > 0}`);
        eventSource.close();
        done();
      });
    });
    return lines;
  });
  expect(told.slice(0, 5).join("")).toBe("1 2 3 4 5. ");
  expect(told.at(-1)).toBe("Completed: true");
});
