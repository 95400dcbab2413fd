/** What is selected, as the URL says it: refresh, back and a shared link all lead to the same place. */

export interface Selection {
  readonly sessionId: string | null;
  readonly runId: string | null;
}

export const NOTHING: Selection = { sessionId: null, runId: null };

export function selectionOf(search: string): Selection {
  const query = new URLSearchParams(search);
  return { sessionId: query.get("session") || null, runId: query.get("run") || null };
}

/** Returns the query string, with its question mark; empty when nothing is selected. */
export function searchOf({ sessionId, runId }: Selection): string {
  const query = new URLSearchParams();
  if (sessionId !== null) query.set("session", sessionId);
  if (runId !== null) query.set("run", runId);
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

export function sameSelection(a: Selection, b: Selection): boolean {
  return a.sessionId === b.sessionId && a.runId === b.runId;
}
