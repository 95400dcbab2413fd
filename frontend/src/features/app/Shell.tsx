import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useLocation, useMatches, useNavigate } from "@tanstack/react-router";
import { useEffect, useState, useSyncExternalStore } from "react";
import { clock } from "../../core/format";
import { Announcer } from "../../ui/Announcer";
import { Banner } from "../../ui/Banner";
import { Icon, type IconName } from "../../ui/Icon";
import { useWords } from "../../ui/words";
import { KeyHelp } from "./KeyHelp";
import { useKeys } from "./key-board";
import { Palette } from "./Palette";
import { queries } from "./queries";
import { usePrefs, useServices } from "./services";
import { TopBar } from "./TopBar";

const PLACES = [
  { to: "/", icon: "home", word: "home", under: [] },
  { to: "/chat", icon: "chat", word: "chat", under: [] },
  { to: "/runs", icon: "runs", word: "runs", under: ["/traces", "/compare", "/fork"] },
  { to: "/approvals", icon: "waiting", word: "approvals", under: [] },
  { to: "/sessions", icon: "sessions", word: "sessions", under: [] },
  {
    to: "/agents",
    icon: "agent",
    word: "build",
    under: ["/crews", "/tasks", "/tools", "/models", "/templates"],
  },
  { to: "/schedules", icon: "schedule", word: "schedules", under: [] },
  { to: "/settings", icon: "settings", word: "settings", under: [] },
] as const satisfies readonly { to: string; icon: IconName; word: string; under: readonly string[] }[];

/** Pages that one place of the rail stands for; they lead to each other. */
const GROUPS = [
  { name: "runs", pages: ["runs", "traces"] },
  { name: "build", pages: ["agents", "crews", "tasks", "tools", "models", "templates"] },
] as const;

type Sheet = "palette" | "help" | null;

export function Shell() {
  const words = useWords();
  const { prefs: prefsStore, client, keyBoard, chat } = useServices();
  const { singleKeys } = usePrefs();
  const { pathname } = useLocation();
  const [sheet, setSheet] = useState<Sheet>(null);
  const title = useMatches().at(-1)?.staticData.title?.(words) ?? "Agio";
  const isLogin = pathname === "/login";
  const approvals = useQuery({ ...queries.approvals(client, "pending"), enabled: !isLogin });
  const waiting = approvals.data?.total ?? 0;
  const { said } = useSyncExternalStore(chat.subscribe, chat.snapshot);
  useGlobalKeys(
    () => setSheet("palette"),
    () => setSheet("help"),
  );

  useEffect(() => {
    document.title = `${waiting > 0 ? `(${waiting}) ` : ""}${title} · Agio`;
  }, [title, waiting]);

  useEffect(() => {
    const listener = (event: KeyboardEvent) => {
      if (!event.defaultPrevented && keyBoard.press(event, singleKeys)) event.preventDefault();
    };
    window.addEventListener("keydown", listener);
    return () => window.removeEventListener("keydown", listener);
  }, [keyBoard, singleKeys]);

  return (
    <div className="shell">
      <a className="skip button unseen" href="#main">
        {words.app.skip}
      </a>
      {!isLogin && <NavRail waiting={waiting} pathname={pathname} />}
      <TopBar title={title} onFind={() => setSheet("palette")} />
      <main id="main" className="main" tabIndex={-1}>
        <ReachBanner />
        <GroupNav pathname={pathname} />
        <Outlet />
      </main>
      {sheet === "palette" && (
        <Palette
          onClose={() => setSheet(null)}
          onHelp={() => setSheet("help")}
          onTheme={() => {
            const { theme } = prefsStore.snapshot();
            prefsStore.change({ theme: theme === "dark" ? "light" : "dark" });
          }}
        />
      )}
      {sheet === "help" && <KeyHelp onClose={() => setSheet(null)} />}
      <Announcer said={said} />
    </div>
  );
}

function useGlobalKeys(onPalette: () => void, onHelp: () => void): void {
  const navigate = useNavigate();
  useKeys({
    palette: onPalette,
    help: onHelp,
    find: () => document.querySelector<HTMLInputElement>("input[type=search]")?.focus(),
    "go.home": () => void navigate({ to: "/" }),
    "go.chat": () => void navigate({ to: "/chat" }),
    "go.runs": () => void navigate({ to: "/runs" }),
    "go.approvals": () => void navigate({ to: "/approvals" }),
    "go.schedules": () => void navigate({ to: "/schedules" }),
    "go.sessions": () => void navigate({ to: "/sessions" }),
  });
}

function NavRail({ waiting, pathname }: { waiting: number; pathname: string }) {
  const words = useWords();
  return (
    <nav className="nav" aria-label={words.app.main}>
      <ul>
        {PLACES.map(({ to, icon, word, under }) => (
          <li key={to}>
            <Link
              to={to}
              activeOptions={{ exact: to === "/" }}
              className="nav-link"
              data-inside={under.some((path) => pathname.startsWith(path)) || undefined}
            >
              <Icon name={icon} />
              <span className="nav-word">{words.nav[word]}</span>
              {word === "approvals" && waiting > 0 && <span className="count">{waiting}</span>}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}

/** The other pages of this part, on the page of each list. */
function GroupNav({ pathname }: { pathname: string }) {
  const words = useWords();
  const group = GROUPS.find(({ pages }) => pages.some((page) => pathname === `/${page}`));
  if (group === undefined) return null;
  return (
    <nav className="sections group" aria-label={words.groups[group.name]}>
      {group.pages.map((page) => (
        <Link key={page} to={`/${page}`} className="section-link">
          {words.nav[page]}
        </Link>
      ))}
    </nav>
  );
}

/** Says what is shown when the server cannot be reached; nothing is queued silently. */
function ReachBanner() {
  const words = useWords();
  const { reach } = useServices();
  const { online, answers, answeredAtMs } = useSyncExternalStore(reach.subscribe, reach.snapshot);
  if (!online) return <Banner tone="warning">{words.connection.offlineLong}</Banner>;
  if (answers) return null;
  const time = clock(new Date(answeredAtMs).toISOString());
  return <Banner tone="warning">{words.connection.stale(time)}</Banner>;
}

export function NotFound() {
  const words = useWords();
  return (
    <div className="page">
      <p>{words.app.notFound}</p>
      <Link to="/">{words.nav.home}</Link>
    </div>
  );
}
