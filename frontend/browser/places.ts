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
  await keep(agio);
  await agio.call("POST", "/api/agents", { id: "broken", name: "Broken", provider: "openai", model: "none" });
  const failed = await agio.start({ agent_id: "broken", message: "Hello" });
  return {
    done,
    waiting: await agio.until(waiting.id, "waiting"),
    failed: await agio.until(failed.id, "failed"),
  };
}

/** One of everything that is kept. */
export async function keep(agio: Agio): Promise<void> {
  const made: readonly (readonly [string, object])[] = [
    ["crews", CREW],
    ["tasks", { name: "Summary", description: "Sum {topic} up", expected_output: "Three lines" }],
    ["templates", { name: "Greeting", template: "Dear {customer}", variables: ["customer"] }],
    ["models", { name: "quick", provider: "openai", model: "gpt-5-mini", parameters: { temperature: 0.2 } }],
    ["schedules", SCHEDULE],
    ["keys", { provider: "openai", api_key: "sk-0123456789abcdef" }],
  ];
  for (const [kind, body] of made) await agio.call("POST", `/api/${kind}`, body);
}

const CREW = {
  name: "Newsroom",
  description: "Finds out and writes",
  agents_yaml: "writer:\n  role: Writer\n  goal: Write about {topic}\n  backstory: Has written for years.\n",
  tasks_yaml: "write:\n  description: Write about {topic}\n  expected_output: A text\n  agent: writer\n",
};
const SCHEDULE = {
  name: "Briefing",
  cron: "0 7 * * MON-FRI",
  timezone: "Europe/Berlin",
  chat: { agent_id: "assistant", message: "What is new?" },
};

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
  "/crews",
  "/tasks",
  "/templates",
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
    { name: "new crew", path: "/crews", open: click("New crew") },
    { name: "draft a crew", path: "/crews", open: click("Draft a crew") },
    { name: "run a crew", path: "/crews", open: click("Run the crew") },
    { name: "new provider key", path: "/settings/keys", open: click("New provider key") },
  ];
}
