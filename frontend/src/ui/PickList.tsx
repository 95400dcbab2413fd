import type { ReactNode } from "react";

export interface Pick {
  readonly id: string;
  readonly body: ReactNode;
}

interface PickListProps {
  readonly className: string;
  readonly picks: readonly Pick[];
  readonly current: string | null;
  onPick(id: string): void;
}

/** A list of things of which one is shown. */
export function PickList({ className, picks, current, onPick }: PickListProps) {
  return (
    <ul className={className}>
      {picks.map(({ id, body }) => (
        <li key={id}>
          <button type="button" aria-current={id === current ? "true" : undefined} onClick={() => onPick(id)}>
            {body}
          </button>
        </li>
      ))}
    </ul>
  );
}
