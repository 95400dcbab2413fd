import { type ReactNode, useEffect, useRef, useState } from "react";
import { Button } from "./Button";
import { useWords } from "./words";

/** How near to the end still counts as being there, in pixels. */
const NEAR = 48;

interface ScrollProps {
  readonly id: string;
  readonly label: string;
  readonly busy: boolean;
  /** Another value leads back to the end. */
  readonly pin: unknown;
  readonly children: ReactNode;
}

/** A region that follows its growing end until the person scrolls away from it. */
export function Scroll({ id, label, busy, pin, children }: ScrollProps) {
  const words = useWords();
  const box = useRef<HTMLElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const [following, setFollowing] = useState(true);
  const [pinned, setPinned] = useState(pin);
  if (pin !== pinned) {
    setPinned(pin);
    setFollowing(true);
  }

  useEffect(() => {
    if (!following || content.current === null) return;
    const observer = new ResizeObserver(() => {
      if (box.current !== null) box.current.scrollTop = box.current.scrollHeight;
    });
    observer.observe(content.current);
    return () => observer.disconnect();
  }, [following]);

  return (
    <section
      ref={box}
      id={id}
      className="scroll"
      aria-label={label}
      aria-busy={busy}
      tabIndex={0}
      onScroll={(event) => {
        const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
        setFollowing(scrollHeight - scrollTop - clientHeight < NEAR);
      }}
    >
      <div ref={content}>{children}</div>
      {!following && (
        <div className="latest">
          <Button look={["compact"]} onClick={() => setFollowing(true)}>
            {words.chat.latest}
          </Button>
        </div>
      )}
    </section>
  );
}
