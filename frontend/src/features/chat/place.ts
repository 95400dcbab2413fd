/** The chat's selection as an address, and back. Pure. */

import type { Selection } from "../../core/selection";

/** Stands for a session whose name the server has not said yet. */
const UNNAMED = "-";

export type Place =
  | { readonly to: "/chat"; readonly search: { readonly run?: string } }
  | {
      readonly to: "/chat/$session";
      readonly params: { readonly session: string };
      readonly search: { readonly run?: string };
    };

export function placeOf({ sessionId, runId }: Selection): Place {
  if (sessionId === null && runId === null) return { to: "/chat", search: {} };
  const search = runId === null ? {} : { run: runId };
  return { to: "/chat/$session", params: { session: sessionId ?? UNNAMED }, search };
}

export function selectionAt(session: string | undefined, run: string | undefined): Selection {
  return { sessionId: session === undefined || session === UNNAMED ? null : session, runId: run ?? null };
}
