import type { Connection } from "../../core/stream";
import { type InfoView, isDemo } from "../../core/views";
import { Button, IconButton } from "../../ui/Button";
import { Icon } from "../../ui/Icon";
import { useTheme } from "./useTheme";

interface TopBarProps {
  readonly info: InfoView | null;
  readonly connection: Connection | null;
  readonly sideOpen: boolean;
  readonly railOpen: boolean;
  onSide(): void;
  onRail(): void;
}

const ICONS = { system: "system", light: "light", dark: "dark" } as const;

export function TopBar({ info, connection, sideOpen, railOpen, onSide, onRail }: TopBarProps) {
  const { theme, next } = useTheme();
  return (
    <header className="top">
      <IconButton icon="menu" label="Conversations" aria-expanded={sideOpen} onClick={onSide} />
      <h1>
        <Icon name="agio" />
        Agio
      </h1>
      {isDemo(info) && (
        <span className="badge demo" title="Set AGIO_OPENAI_API_KEY to talk to a real model">
          <Icon name="info" />
          <span>
            Demo<span className="not-narrow"> provider answers: no model key is set</span>
          </span>
        </span>
      )}
      <span className="gap" />
      <Live connection={connection} />
      <IconButton icon={ICONS[theme]} label={`Theme: ${theme}`} onClick={next} />
      <Button icon="panel" look={["ghost"]} aria-expanded={railOpen} onClick={onRail}>
        <span className="not-narrow">Run</span>
      </Button>
    </header>
  );
}

function Live({ connection }: { connection: Connection | null }) {
  if (connection === null) return null;
  const tone = connection.phase === "live" ? "completed" : "waiting";
  const word = { live: "Live", connecting: "Connecting", reconnecting: "Reconnecting" }[connection.phase];
  return (
    <span className="status" data-tone={tone}>
      <Icon name={connection.phase === "live" ? "completed" : "retry"} />
      <span className="not-narrow">{word}</span>
    </span>
  );
}
