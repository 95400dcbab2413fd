import { violations } from "./axe";
import { expect, test } from "./world";

test("every route passes axe in light and in dark, and the policy is strict", async ({ page, agio }) => {
  test.setTimeout(120_000);
  const run = await agio.finished("What is 17 * 23, then what is the time?");
  const checkpoint = encodeURIComponent(run.last_checkpoint_id);
  const waiting = await agio.start({ message: "Send a message to Ann saying hello" });
  await agio.until(waiting.id, "waiting");
  const answerOf = await page.goto("/ui/");
  expect(answerOf?.headers()["content-security-policy"]).toMatch(/script-src 'self'; style-src 'self'/);
  const routes = [
    "/",
    "/chat",
    `/chat/${run.session_id}?run=${run.id}`,
    `/chat/-?run=${waiting.id}`,
    "/runs",
    "/runs?q=no-such-question",
    `/runs/${run.id}`,
    `/runs/${run.id}?view=tree&ckpt=${checkpoint}&tab=diff`,
    `/runs/${run.id}?view=raw&tab=prompt`,
    "/runs/no-such-run",
    `/fork/${checkpoint}`,
    `/compare?a=${run.id}&b=${waiting.id}`,
    "/approvals",
    "/sessions",
    "/agents",
    "/agents/assistant",
    "/agents/new",
    "/tools",
    "/models",
    "/settings/appearance",
    "/settings/access",
    "/settings/system",
    "/login",
    "/nowhere",
  ];
  const found: string[] = [];
  for (const route of routes) {
    await page.goto(`/ui${route}`);
    await expect(page.locator(".skeleton")).toHaveCount(0);
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      found.push(...(await violations(page, `${route} ${colorScheme}`)));
    }
  }
  await page.goto("/ui/");
  await page.keyboard.press("Control+k");
  await expect(page.getByRole("combobox")).toBeFocused();
  found.push(...(await violations(page, "palette")));
  expect(found).toEqual([]);
});
