import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { messageOf } from "../../core/problem";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { useWords } from "../../ui/words";

interface LoadedProps<T> {
  readonly query: UseQueryResult<T>;
  /** How many lines stand for what is not there yet. */
  readonly lines?: number;
  children(value: T): ReactNode;
}

/** What was read, or lines in its place, or what went wrong with a way to try again. Old data stays beside an error. */
export function Loaded<T>({ query, lines = 3, children }: LoadedProps<T>) {
  const words = useWords();
  const { data, error, refetch } = query;
  return (
    <>
      {error !== null && (
        <Banner
          tone="danger"
          action={
            <Button look={["compact"]} icon="retry" onClick={() => void refetch()}>
              {words.app.tryAgain}
            </Button>
          }
        >
          {messageOf(error)}
        </Banner>
      )}
      {data !== undefined && children(data)}
      {data === undefined && error === null && (
        <div className="skeleton" role="status" aria-label={words.app.loading}>
          {Array.from({ length: lines }, (_, line) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: lines are all alike
            <span key={line} />
          ))}
        </div>
      )}
    </>
  );
}
