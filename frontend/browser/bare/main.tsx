/** The yardstick of the speed gates: nothing but a virtual list, whose news are shown once a frame. */

import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";

interface Bare {
  /** Shows that many rows. */
  open(rows: number): void;
  /** Adds rows at this pace, and lets go after `ms`. */
  stream(perSecond: number, ms: number): Promise<void>;
}

declare global {
  interface Window {
    bare: Bare;
  }
}

let rows: readonly string[] = [];
let waiting: string[] = [];
let tell = () => {};
const subscribe = (listener: () => void) => {
  tell = listener;
  return () => {};
};

function flush(): void {
  rows = [...rows, ...waiting];
  waiting = [];
  tell();
}

const nameOf = (at: number) => `row ${at}`;

window.bare = {
  open(count) {
    rows = Array.from({ length: count }, (_, at) => nameOf(at));
    tell();
  },
  stream(perSecond, ms) {
    return new Promise((done) => {
      const timer = setInterval(() => {
        if (waiting.length === 0) requestAnimationFrame(flush);
        waiting.push(nameOf(rows.length + waiting.length));
      }, 1_000 / perSecond);
      setTimeout(() => {
        clearInterval(timer);
        done();
      }, ms);
    });
  },
};

function List() {
  const shown = useSyncExternalStore(subscribe, () => rows);
  const box = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => box.current,
    estimateSize: () => 28,
    overscan: 12,
  });
  return (
    <div ref={box} style={{ height: 600, overflowY: "auto" }}>
      <div style={{ position: "relative", height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, start }) => (
          <div
            key={index}
            className="grid-row"
            style={{ position: "absolute", height: 28, transform: `translateY(${start}px)` }}
          >
            {shown[index]}
          </div>
        ))}
      </div>
    </div>
  );
}

const root = document.getElementById("root");
if (root !== null) createRoot(root).render(<List />);
