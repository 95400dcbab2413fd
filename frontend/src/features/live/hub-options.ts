/** How the shared stream is opened: the same in the worker and in the page. */

import { Client } from "../../core/client";
import { authorized } from "../../core/credentials";
import type { HubOptions } from "../../core/hub";

export function hubOptions(key: string | null): HubOptions {
  const fetch = authorized(
    () => key,
    () => undefined,
    (url, init) => globalThis.fetch(url, init),
  );
  const client = new Client(fetch);
  return {
    open: (places, signal) => {
      const behind = [...places].filter(([, seq]) => seq > 0).map(([runId, seq]) => `${runId}:${seq}`);
      const query = new URLSearchParams({ runs: [...places.keys()].join(",") });
      if (behind.length > 0) query.set("after", behind.join(","));
      const headers = { Accept: "text/event-stream" };
      return fetch(`/api/events?${query}`, {
        headers,
        signal,
        cache: "no-store",
        credentials: "same-origin",
      });
    },
    head: async (runId) => (await client.get("/api/runs/{run_id}", { path: { run_id: runId } })).last_seq,
  };
}
