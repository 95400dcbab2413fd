import type { Controls } from "../../core/status";
import { Button } from "../../ui/Button";
import { useWords } from "../../ui/words";

interface RunControlsProps {
  readonly controls: Controls;
  readonly busy: boolean;
  /** Set where a message can be sent, and says whether there is one. */
  readonly send?: boolean;
  onPause(): void;
  onResume(): void;
  onStop(): void;
}

/** Pause and Stop while a run is live, Resume while it rests, Send when there is none. */
export function RunControls({ controls, busy, send, onPause, onResume, onStop }: RunControlsProps) {
  const words = useWords();
  return (
    <>
      {controls.pause && (
        <Button icon="paused" disabled={busy} onClick={onPause}>
          {words.command.pause}
        </Button>
      )}
      {controls.resume && (
        <Button icon="resume" look={["primary"]} disabled={busy} onClick={onResume}>
          {words.command.resume}
        </Button>
      )}
      {controls.cancel && (
        <Button icon="stop" look={["danger"]} disabled={busy} onClick={onStop}>
          {words.command.stop}
        </Button>
      )}
      {controls.send && send !== undefined && (
        <Button type="submit" icon="send" look={["primary"]} disabled={!send}>
          {words.chat.send}
        </Button>
      )}
    </>
  );
}
