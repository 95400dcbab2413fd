/** The page's way to the one stream of this browser; where there are no shared workers, to one of its own. */

import { Hub } from "../../core/hub";
import type { Streams } from "../../core/shared-follow";
import { type Ask, RemoteStreams, type Tell } from "../../core/shared-wire";
import { hubOptions } from "./hub-options";

export function openStreams(key: () => string | null): Streams {
  if (typeof SharedWorker === "undefined") {
    const hubs = new Map<string | null, Hub>();
    return {
      follow: (runId, after, reader) => {
        const present = key();
        const hub = hubs.get(present) ?? new Hub(hubOptions(present));
        hubs.set(present, hub);
        return hub.follow(runId, after, reader);
      },
    };
  }
  const { port } = new SharedWorker(new URL("./worker.ts", import.meta.url), {
    type: "module",
    name: "agio",
  });
  const streams = new RemoteStreams(
    {
      post: (ask: Ask) => port.postMessage(ask),
      listen: (handler) => {
        port.onmessage = ({ data }: MessageEvent<Tell>) => handler(data);
      },
    },
    key,
  );
  // A worker is not told that a tab has gone.
  window.addEventListener("pagehide", () => streams.close());
  window.addEventListener("pageshow", ({ persisted }) => {
    if (persisted) window.location.reload();
  });
  return streams;
}
