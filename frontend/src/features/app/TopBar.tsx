import { useQuery } from "@tanstack/react-query";
import { Link, useLocation } from "@tanstack/react-router";
import { useSyncExternalStore } from "react";
import { keyText } from "../../core/keymap";
import { THEMES } from "../../core/prefs";
import { isDemo } from "../../core/views";
import { IconButton } from "../../ui/Button";
import { Icon } from "../../ui/Icon";
import { useWords } from "../../ui/words";
import { queries } from "./queries";
import type { ReachState } from "./reach";
import { usePrefs, useServices } from "./services";

const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);

export function TopBar({ title, onFind }: { title: string; onFind(): void }) {
  const words = useWords();
  const { client, prefs, reach } = useServices();
  const { theme } = usePrefs();
  const isLogin = useLocation().pathname === "/login";
  const state = useSyncExternalStore(reach.subscribe, reach.snapshot);
  const info = useQuery({ ...queries.info(client), enabled: !isLogin });
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "system";
  return (
    <header className="top">
      <Link to="/" className="brand" aria-label="Agio">
        <Icon name="agio" />
      </Link>
      <h1>{title}</h1>
      {info.data !== undefined && isDemo(info.data) && (
        <Link to="/models" className="badge demo" title={words.app.demoLong}>
          <Icon name="info" />
          {words.app.demo}
        </Link>
      )}
      <span className="gap" />
      {!isLogin && (
        <button type="button" className="find" onClick={onFind}>
          <Icon name="search" />
          <span className="not-narrow">{words.app.find}</span>
          <kbd className="not-narrow">{keyText("palette", isMac)}</kbd>
        </button>
      )}
      <Dot state={state} />
      <IconButton
        icon={theme}
        label={words.app.theme(words.settings.themes[theme])}
        onClick={() => prefs.change({ theme: next })}
      />
    </header>
  );
}

function Dot({ state }: { state: ReachState }) {
  const words = useWords();
  const { tone, word } = told(state, words.connection);
  return (
    <span className="status" data-tone={tone} id="connection">
      <Icon name={tone === "completed" ? "completed" : "retry"} />
      <span className="not-narrow">{word}</span>
    </span>
  );
}

function told(
  { online, answers, connection }: ReachState,
  words: ReturnType<typeof useWords>["connection"],
): { tone: string; word: string } {
  if (!online) return { tone: "failed", word: words.offline };
  if (connection?.phase === "reconnecting") {
    return { tone: "waiting", word: words.reconnecting(connection.failures) };
  }
  if (!answers) return { tone: "failed", word: words.lost };
  if (connection?.phase === "connecting") return { tone: "waiting", word: words.connecting };
  return { tone: "completed", word: connection === null ? words.idle : words.live };
}
