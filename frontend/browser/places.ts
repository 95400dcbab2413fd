/** Every address of the page, and the dialogs that it opens. */

import type { Page } from "@playwright/test";
import type { Server } from "./server";
import type { Agio, RunView } from "./world";

export interface Cast {
  readonly done: RunView;
  readonly waiting: RunView;
  readonly failed: RunView;
}

const casts = new WeakMap<Server, Promise<Cast>>();

/** Runs in each state that a page can show; the same for all who ask of one server. */
export function cast(agio: Agio): Promise<Cast> {
  const made = casts.get(agio.server) ?? play(agio);
  casts.set(agio.server, made);
  return made;
}

async function play(agio: Agio): Promise<Cast> {
  const done = await agio.finished("What is 17 * 23, then what is the time?");
  const waiting = await agio.start({ message: "Send a message to Ann saying hello" });
  await agio.call("POST", "/api/agents", { id: "broken", name: "Broken", provider: "openai", model: "none" });
  const failed = await agio.start({ agent_id: "broken", message: "Hello" });
  return {
    done,
    waiting: await agio.until(waiting.id, "waiting"),
    failed: await agio.until(failed.id, "failed"),
  };
}

/** Lists and editors: what they show depends on what there is. */
export const LISTS = [
  "/",
  "/chat",
  "/runs",
  "/approvals",
  "/sessions",
  "/traces",
  "/agents",
  "/tools",
  "/models",
  "/schedules",
  "/settings/access",
  "/settings/keys",
] as const;

export function placesOf({ done, waiting, failed }: Cast): readonly string[] {
  const checkpoint = encodeURIComponent(done.last_checkpoint_id);
  return [
    ...LISTS,
    `/chat/${done.session_id}?run=${done.id}`,
    `/chat/-?run=${waiting.id}`,
    `/chat/-?run=${failed.id}`,
    `/runs/${done.id}`,
    `/runs/${done.id}?view=tree&ckpt=${checkpoint}&tab=diff`,
    `/runs/${done.id}?view=messages&tab=state`,
    `/runs/${done.id}?view=raw&tab=prompt`,
    `/runs/${failed.id}`,
    `/fork/${checkpoint}`,
    "/compare",
    `/compare?a=${done.id}&b=${waiting.id}`,
    "/agents/assistant",
    "/agents/new",
    "/settings/appearance",
    "/settings/system",
    "/login",
    "/nowhere",
  ];
}

export interface DialogPlace {
  readonly name: string;
  readonly path: string;
  open(page: Page): Promise<void>;
}

const click =
  (name: string) =>
  async (page: Page): Promise<void> =>
    page.getByRole("button", { name, exact: true }).first().click();

export function dialogsOf({ waiting }: Cast): readonly DialogPlace[] {
  return [
    { name: "palette", path: "/", open: async (page) => page.keyboard.press("Control+k") },
    { name: "keys", path: "/", open: async (page) => page.keyboard.press("?") },
    { name: "new tool", path: "/tools", open: click("New tool") },
    { name: "rename", path: "/sessions", open: click("Rename") },
    { name: "delete", path: "/sessions", open: click("Delete") },
    { name: "stop", path: `/runs/${waiting.id}`, open: click("Stop") },
    { name: "new schedule", path: "/schedules", open: click("New schedule") },
  ];
}
