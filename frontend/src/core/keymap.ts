/** Which keys do what. Pure: it is told of key presses and answers with commands. */

export interface Press {
  /** As `KeyboardEvent.key`. */
  readonly key: string;
  readonly ctrl: boolean;
  readonly meta: boolean;
  readonly alt: boolean;
  readonly shift: boolean;
  /** The focus is where one types. */
  readonly typing: boolean;
}

export const KEYS = {
  palette: ["mod+k"],
  help: ["?"],
  find: ["/"],
  "go.home": ["g h"],
  "go.chat": ["g c"],
  "go.runs": ["g r"],
  "go.approvals": ["g a"],
  "go.schedules": ["g s"],
  "go.sessions": ["g v"],
  "run.pause": ["p"],
  "run.cancel": ["X"],
  "run.fork": ["f"],
  "run.diff": ["d"],
  "run.follow": ["l"],
  "list.mark": ["m"],
  "list.compare": ["c"],
  "compare.next": ["n"],
  "tab.1": ["1"],
  "tab.2": ["2"],
  "tab.3": ["3"],
  "tab.4": ["4"],
  "tab.5": ["5"],
  "tab.6": ["6"],
  "approval.approve": ["y"],
  "approval.reject": ["n"],
  "approval.edit": ["e"],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type KeyCommand = keyof typeof KEYS;

/** How long the first key of two waits for the second. */
export const SEQUENCE_MS = 1_500;

export interface Pressed {
  readonly commands: readonly KeyCommand[];
  /** First key of a sequence that may go on; empty: none. */
  readonly pending: string;
}

const NOTHING: Pressed = { commands: [], pending: "" };

function chordOf({ key, ctrl, meta, alt }: Press): string | null {
  if (alt || key === "Shift" || key === "Control" || key === "Meta" || key === "Alt") return null;
  return ctrl || meta ? `mod+${key.toLowerCase()}` : key;
}

/**
 * Returns the commands that a press means; which of them is possible, the page knows.
 *
 * @param pending what the press before left.
 * @param singleKeys false: only chords count (WCAG 2.1.4).
 */
export function press(event: Press, pending: string, singleKeys: boolean): Pressed {
  const chord = chordOf(event);
  if (chord === null) return { commands: [], pending };
  const isChord = chord.startsWith("mod+");
  if (!isChord && (event.typing || !singleKeys)) return NOTHING;
  const sequence = pending === "" || isChord ? chord : `${pending} ${chord}`;
  const entries = Object.entries(KEYS) as [KeyCommand, readonly string[]][];
  const commands = entries.filter(([, keys]) => keys.includes(sequence)).map(([command]) => command);
  if (commands.length > 0) return { commands, pending: "" };
  if (entries.some(([, keys]) => keys.some((one) => one.startsWith(`${sequence} `))))
    return { commands: [], pending: sequence };
  return pending === "" ? NOTHING : press(event, "", singleKeys);
}

/** The keys of a command for people: `Ctrl K`, `g h`. */
export function keyText(command: KeyCommand, mac: boolean): string {
  const [first = ""] = KEYS[command];
  if (first.startsWith("mod+")) return `${mac ? "⌘" : "Ctrl"} ${first.slice(4).toUpperCase()}`;
  return first === "X" ? "Shift X" : first;
}
