import type { ReactNode } from "react";
import { Icon, type IconName } from "./Icon";

interface FoldProps {
  readonly icon: IconName;
  readonly busy?: boolean;
  readonly name: string;
  /** One line that stands for what is inside. */
  readonly glimpse: string;
  readonly end?: ReactNode;
  readonly children: ReactNode;
}

/** A line that opens to more. Closed at first. */
export function Fold({ icon, busy = false, name, glimpse, end, children }: FoldProps) {
  return (
    <details className="fold">
      <summary>
        <Icon name="chevron" className="chevron" />
        <Icon name={icon} className={busy ? "spinning" : ""} />
        <span className="name">{name}</span>
        <span className="glimpse">{glimpse}</span>
        {end}
      </summary>
      <div className="inside">{children}</div>
    </details>
  );
}

/** Read-only text of any length, such as arguments or a result. */
export function Code({ label, text }: { label: string; text: string }) {
  return (
    <figure>
      <figcaption className="quiet">{label}</figcaption>
      <pre className="code" tabIndex={0}>
        {text}
      </pre>
    </figure>
  );
}
