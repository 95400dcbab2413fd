import type { ReactNode } from "react";
import { Icon } from "./Icon";

interface BannerProps {
  readonly tone: "info" | "warning" | "danger";
  readonly children: ReactNode;
  readonly action?: ReactNode;
}

/** A line across a pane. Errors interrupt a screen reader, the rest waits its turn. */
export function Banner({ tone, children, action }: BannerProps) {
  return (
    <div className="banner" data-tone={tone} role={tone === "danger" ? "alert" : "status"}>
      <Icon name={tone === "info" ? "info" : "warning"} />
      <span>{children}</span>
      {action}
    </div>
  );
}
