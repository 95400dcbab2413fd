import type { Controls } from "../../core/status";
import { Button } from "../../ui/Button";

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
  return (
    <>
      {controls.pause && (
        <Button icon="paused" disabled={busy} onClick={onPause}>
          Pause
        </Button>
      )}
      {controls.resume && (
        <Button icon="resume" look={["primary"]} disabled={busy} onClick={onResume}>
          Resume
        </Button>
      )}
      {controls.cancel && (
        <Button icon="stop" look={["danger"]} disabled={busy} onClick={onStop}>
          Stop
        </Button>
      )}
      {controls.send && send !== undefined && (
        <Button type="submit" icon="send" look={["primary"]} disabled={!send}>
          Send
        </Button>
      )}
    </>
  );
}
