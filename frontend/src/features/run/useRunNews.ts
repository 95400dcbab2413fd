/** Follows a run from where its view stands, and tells when there is something new to read. */

import { useEffect, useRef } from "react";
import type { Schemas } from "../../core/client";
import { useServices } from "../app/services";

/** Deltas of a message change nothing that is shown here. */
const QUIET = new Set(["content_delta", "reasoning_delta"]);
/** As often as the page reads anew at most. */
const GAP_MS = 600;

export function useRunNews(run: Schemas["RunView"], onNews: (rewound: boolean) => void): void {
  const { streams } = useServices();
  const { id, last_seq } = run;
  const from = useRef(last_seq);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let readAtMs = 0;
    const read = () => {
      timer = undefined;
      readAtMs = Date.now();
      onNews(false);
    };
    const leave = streams.follow(id, from.current, {
      onFrames: (frames) => {
        if (timer !== undefined || frames.every(({ event }) => QUIET.has(event))) return;
        timer = setTimeout(read, Math.max(0, readAtMs + GAP_MS - Date.now()));
      },
      onConnection: () => undefined,
      onRewind: () => onNews(true),
      onEnd: () => onNews(false),
    });
    return () => {
      clearTimeout(timer);
      leave();
    };
  }, [streams, id, onNews]);
}
