import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, useId, useState } from "react";
import { shortId } from "../../core/ids";
import { keyText } from "../../core/keymap";
import { type PaletteEntry, rank } from "../../core/palette";
import { Dialog } from "../../ui/Dialog";
import { useWords } from "../../ui/words";
import { queries } from "./queries";
import { useServices } from "./services";

const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);

interface PaletteProps {
  onClose(): void;
  onHelp(): void;
  onTheme(): void;
}

interface Doable extends PaletteEntry {
  run(): void;
}

/** A list that the text box above it steers: the focus stays where one types. */
export function Palette(props: PaletteProps) {
  const words = useWords();
  const entries = useEntries(props);
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const listId = useId();
  const found = rank(entries, typed, 12) as readonly Doable[];
  const chosen = found[Math.min(at, found.length - 1)];

  function pick(entry: Doable | undefined): void {
    if (entry === undefined) return;
    props.onClose();
    entry.run();
  }
  function onKeyDown(event: KeyboardEvent): void {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (event.key === "Enter") pick(chosen);
    else if (step !== 0) setAt((found.length + at + step) % Math.max(1, found.length));
    else return;
    event.preventDefault();
  }
  return (
    <Dialog title={words.palette.title} onClose={props.onClose} className="palette">
      <input
        className="input"
        role="combobox"
        aria-expanded="true"
        aria-controls={listId}
        aria-activedescendant={chosen === undefined ? undefined : `${listId}-${chosen.id}`}
        aria-label={words.palette.title}
        placeholder={words.palette.placeholder}
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          setAt(0);
        }}
        onKeyDown={onKeyDown}
      />
      <div id={listId} role="listbox" aria-label={words.palette.title} className="palette-list">
        {found.map((entry) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: keys go through the text box
          <div
            key={entry.id}
            id={`${listId}-${entry.id}`}
            role="option"
            tabIndex={-1}
            aria-selected={entry === chosen}
            className="palette-row"
            onClick={() => pick(entry)}
          >
            <span>{entry.title}</span>
            <span className="quiet small">{entry.group}</span>
            {entry.keys !== undefined && <kbd>{entry.keys}</kbd>}
          </div>
        ))}
      </div>
      {found.length === 0 && <p className="quiet palette-row">{words.palette.nothing}</p>}
    </Dialog>
  );
}

function useEntries({ onHelp, onTheme }: PaletteProps): readonly Doable[] {
  const words = useWords();
  const navigate = useNavigate();
  const { client } = useServices();
  const runs = useQuery(queries.runs(client, {}, 20));
  const agents = useQuery(queries.agents(client));
  const sessions = useQuery(queries.sessions(client, ""));
  const { palette, nav } = words;
  const page = (id: keyof typeof nav, to: string, keys?: string): Doable => ({
    id,
    title: nav[id],
    group: palette.pages,
    keys,
    run: () => void navigate({ to }),
  });
  return [
    page("home", "/", keyText("go.home", isMac)),
    page("chat", "/chat", keyText("go.chat", isMac)),
    page("runs", "/runs", keyText("go.runs", isMac)),
    page("approvals", "/approvals", keyText("go.approvals", isMac)),
    page("sessions", "/sessions", keyText("go.sessions", isMac)),
    page("agents", "/agents"),
    page("tools", "/tools"),
    page("crews", "/crews"),
    page("tasks", "/tasks"),
    page("models", "/models"),
    page("templates", "/templates"),
    page("traces", "/traces"),
    page("schedules", "/schedules", keyText("go.schedules", isMac)),
    page("settings", "/settings"),
    { id: "new", title: palette.newChat, group: palette.actions, run: () => void navigate({ to: "/chat" }) },
    { id: "theme", title: palette.toggleTheme, group: palette.actions, run: onTheme },
    { id: "keys", title: palette.showKeys, group: palette.actions, keys: "?", run: onHelp },
    ...(agents.data?.items ?? []).map((agent) => ({
      id: `agent-${agent.id}`,
      title: agent.name,
      also: agent.id,
      group: palette.agents,
      run: () => void navigate({ to: "/agents/$agent", params: { agent: agent.id } }),
    })),
    ...(runs.data?.items ?? []).map((run) => ({
      id: `run-${run.id}`,
      title: run.preview || run.id,
      also: `${run.id} ${shortId(run.id)} ${run.status}`,
      group: palette.runs,
      run: () => void navigate({ to: "/runs/$run", params: { run: run.id } }),
    })),
    ...(sessions.data?.items ?? []).slice(0, 30).map((session) => ({
      id: `session-${session.id}`,
      title: session.title ?? words.chat.untitled,
      also: session.id,
      group: palette.sessions,
      run: () => void navigate({ to: "/chat/$session", params: { session: session.id } }),
    })),
  ];
}
