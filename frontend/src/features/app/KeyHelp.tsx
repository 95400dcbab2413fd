import { KEYS, type KeyCommand, keyText } from "../../core/keymap";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { useWords } from "../../ui/words";

const isMac = /Mac|iPhone|iPad/.test(navigator.userAgent);

export function KeyHelp({ onClose }: { onClose(): void }) {
  const words = useWords();
  const commands = Object.keys(KEYS) as KeyCommand[];
  return (
    <Dialog title={words.keys.title} onClose={onClose}>
      <div className="dialog-body">
        <p className="quiet small">{words.keys.hint}</p>
        <dl className="figures keys">
          {commands.map((command) => (
            <div key={command} className="figure">
              <dt>{words.keys[command]}</dt>
              <dd>
                <kbd>{keyText(command, isMac)}</kbd>
              </dd>
            </div>
          ))}
        </dl>
        <div className="actions">
          <Button onClick={onClose}>{words.app.close}</Button>
        </div>
      </div>
    </Dialog>
  );
}
