/** Which entries of the command palette fit what is typed, best first. Pure. */

export interface PaletteEntry {
  readonly id: string;
  readonly title: string;
  /** Words that find it besides its title. */
  readonly also?: string;
  readonly group: string;
  readonly keys?: string;
}

/** Higher is better; null: does not fit. Every typed word must be found. */
export function scoreOf(entry: PaletteEntry, typed: string): number | null {
  const title = entry.title.toLowerCase();
  const rest = `${entry.also ?? ""} ${entry.group}`.toLowerCase();
  let score = 0;
  for (const word of typed.toLowerCase().split(/\s+/).filter(Boolean)) {
    if (title.startsWith(word)) score += 4;
    else if (title.split(/[\s·:_-]+/).some((part) => part.startsWith(word))) score += 3;
    else if (title.includes(word)) score += 2;
    else if (rest.includes(word)) score += 1;
    else return null;
  }
  return score;
}

export function rank(entries: readonly PaletteEntry[], typed: string, limit = 50): readonly PaletteEntry[] {
  return entries
    .map((entry, index) => ({ entry, index, score: scoreOf(entry, typed) }))
    .filter(({ score }) => score !== null)
    .sort((a, b) => (b.score ?? 0) - (a.score ?? 0) || a.index - b.index)
    .slice(0, limit)
    .map(({ entry }) => entry);
}
