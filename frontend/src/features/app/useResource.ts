import { useEffect, useState } from "react";
import { messageOf } from "../../core/problem";

export interface Resource<T> {
  /** Null until the first answer; kept while it is read again. */
  readonly value: T | null;
  readonly problem: string | null;
}

interface Answer<T> extends Resource<T> {
  readonly load: unknown;
}

/**
 * Reads something from the server, and again whenever `revision` changes.
 *
 * @param load what to read; another function is another thing, and the old value is dropped at once. Null: nothing.
 */
export function useResource<T>(load: (() => Promise<T>) | null, revision: unknown): Resource<T> {
  const [answer, setAnswer] = useState<Answer<T>>({ load: null, value: null, problem: null });

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new revision is what asks for reading again
  useEffect(() => {
    if (load === null) return;
    let stale = false;
    load().then(
      (value) => {
        if (!stale) setAnswer({ load, value, problem: null });
      },
      (error: unknown) => {
        if (stale) return;
        setAnswer((old) => ({
          load,
          value: old.load === load ? old.value : null,
          problem: messageOf(error),
        }));
      },
    );
    return () => {
      stale = true;
    };
  }, [load, revision]);

  return answer.load === load ? answer : { value: null, problem: null };
}
