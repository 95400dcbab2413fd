/** The page's addresses. What is selected stands in them, so refresh, back and a shared link lead to one place. */

import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  type RouterHistory,
  redirect,
} from "@tanstack/react-router";
import type { Words } from "../../core/i18n/words";
import { ChatPage } from "../chat/ChatPage";
import { HomePage } from "../home/HomePage";
import { RunsPage } from "../runs/RunsPage";
import { NotFound, Shell } from "./Shell";

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
  interface StaticDataRouteOption {
    title?(words: Words): string;
  }
}

/** Everything in the query is text; a value that is empty is not there. */
type Search<K extends string> = { [N in K]?: string };

function texts<K extends string>(...names: readonly K[]) {
  return (search: Record<string, unknown>): Search<K> => {
    const kept: Search<K> = {};
    for (const name of names) {
      const value = search[name];
      if (typeof value === "string" && value !== "") kept[name] = value;
    }
    return kept;
  };
}

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });

const home = createRoute({
  getParentRoute: () => root,
  path: "/",
  component: HomePage,
  staticData: { title: (t) => t.home.title },
  // The first release's addresses.
  beforeLoad: ({ location }) => {
    const { session, run } = location.search as Search<"session" | "run">;
    if (session !== undefined || run !== undefined) {
      throw redirect({ to: "/chat/$session", params: { session: session ?? "-" }, search: { run } });
    }
  },
});
const newChat = createRoute({
  getParentRoute: () => root,
  path: "/chat",
  component: ChatPage,
  validateSearch: texts("run", "agent"),
  staticData: { title: (t) => t.chat.title },
});
const chat = createRoute({
  getParentRoute: () => root,
  path: "/chat/$session",
  component: ChatPage,
  validateSearch: texts("run", "agent"),
  staticData: { title: (t) => t.chat.title },
});
const runs = createRoute({
  getParentRoute: () => root,
  path: "/runs",
  component: RunsPage,
  validateSearch: texts("status", "agent", "q", "marks"),
  staticData: { title: (t) => t.runs.title },
});
const run = createRoute({
  getParentRoute: () => root,
  path: "/runs/$run",
  component: lazyRouteComponent(() => import("../run/RunPage"), "RunPage"),
  validateSearch: texts("view", "span", "ckpt", "tab", "against"),
  staticData: { title: (t) => t.run.section },
});
const fork = createRoute({
  getParentRoute: () => root,
  path: "/fork/$checkpoint",
  component: lazyRouteComponent(() => import("../fork/ForkPage"), "ForkPage"),
  staticData: { title: (t) => t.fork.title },
});
const compare = createRoute({
  getParentRoute: () => root,
  path: "/compare",
  component: lazyRouteComponent(() => import("../compare/ComparePage"), "ComparePage"),
  validateSearch: texts("a", "b", "step"),
  staticData: { title: (t) => t.compare.title },
});
const approvals = createRoute({
  getParentRoute: () => root,
  path: "/approvals",
  component: lazyRouteComponent(() => import("../approvals/ApprovalsPage"), "ApprovalsPage"),
  validateSearch: texts("id"),
  staticData: { title: (t) => t.approvals.title },
});
const sessions = createRoute({
  getParentRoute: () => root,
  path: "/sessions",
  component: lazyRouteComponent(() => import("../sessions/SessionsPage"), "SessionsPage"),
  validateSearch: texts("q"),
  staticData: { title: (t) => t.sessions.title },
});
const agents = createRoute({
  getParentRoute: () => root,
  path: "/agents",
  component: lazyRouteComponent(() => import("../agents/AgentsPage"), "AgentsPage"),
  validateSearch: texts("q"),
  staticData: { title: (t) => t.agents.title },
});
const agent = createRoute({
  getParentRoute: () => root,
  path: "/agents/$agent",
  component: lazyRouteComponent(() => import("../agents/AgentPage"), "AgentPage"),
  validateSearch: texts("like", "tab"),
  staticData: { title: (t) => t.agents.title },
});
const tools = createRoute({
  getParentRoute: () => root,
  path: "/tools",
  component: lazyRouteComponent(() => import("../tools/ToolsPage"), "ToolsPage"),
  validateSearch: texts("q", "tool"),
  staticData: { title: (t) => t.tools.title },
});
const models = createRoute({
  getParentRoute: () => root,
  path: "/models",
  component: lazyRouteComponent(() => import("../models/ModelsPage"), "ModelsPage"),
  validateSearch: texts("id"),
  staticData: { title: (t) => t.models.title },
});
const crews = createRoute({
  getParentRoute: () => root,
  path: "/crews",
  component: lazyRouteComponent(() => import("../build/CrewsPage"), "CrewsPage"),
  validateSearch: texts("id"),
  staticData: { title: (t) => t.crews.title },
});
const tasks = createRoute({
  getParentRoute: () => root,
  path: "/tasks",
  component: lazyRouteComponent(() => import("../build/TasksPage"), "TasksPage"),
  validateSearch: texts("id"),
  staticData: { title: (t) => t.tasks.title },
});
const templates = createRoute({
  getParentRoute: () => root,
  path: "/templates",
  component: lazyRouteComponent(() => import("../build/TemplatesPage"), "TemplatesPage"),
  validateSearch: texts("id"),
  staticData: { title: (t) => t.templates.title },
});
const schedules = createRoute({
  getParentRoute: () => root,
  path: "/schedules",
  component: lazyRouteComponent(() => import("../schedules/SchedulesPage"), "SchedulesPage"),
  validateSearch: texts("id"),
  staticData: { title: (t) => t.schedules.title },
});
const traces = createRoute({
  getParentRoute: () => root,
  path: "/traces",
  component: lazyRouteComponent(() => import("../traces/TracesPage"), "TracesPage"),
  validateSearch: texts("q"),
  staticData: { title: (t) => t.traces.title },
});
const settings = createRoute({
  getParentRoute: () => root,
  path: "/settings",
  beforeLoad: () => {
    throw redirect({ to: "/settings/$section", params: { section: "appearance" } });
  },
});
const settingsSection = createRoute({
  getParentRoute: () => root,
  path: "/settings/$section",
  component: lazyRouteComponent(() => import("../settings/SettingsPage"), "SettingsPage"),
  staticData: { title: (t) => t.settings.title },
});
const login = createRoute({
  getParentRoute: () => root,
  path: "/login",
  component: lazyRouteComponent(() => import("../login/LoginPage"), "LoginPage"),
  validateSearch: texts("to"),
  staticData: { title: (t) => t.login.title },
});

const routeTree = root.addChildren([
  home,
  newChat,
  chat,
  runs,
  run,
  fork,
  compare,
  approvals,
  sessions,
  agents,
  agent,
  tools,
  models,
  crews,
  tasks,
  templates,
  schedules,
  traces,
  settings,
  settingsSection,
  login,
]);

export function makeRouter(history?: RouterHistory) {
  return createRouter({
    routeTree,
    history,
    basepath: "/ui",
    // There are no loaders: what is fetched is the code of a screen that somebody points at.
    defaultPreload: "intent",
    parseSearch: (text) => Object.fromEntries(new URLSearchParams(text)),
    stringifySearch: (search) => {
      const query = new URLSearchParams();
      for (const [name, value] of Object.entries(search)) if (value) query.set(name, String(value));
      return query.size === 0 ? "" : `?${query}`;
    },
  });
}
