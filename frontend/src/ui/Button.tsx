import type { ButtonHTMLAttributes, ReactNode } from "react";
import { Icon, type IconName } from "./Icon";

type Look = "primary" | "danger" | "ghost" | "compact" | "square";

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  readonly icon?: IconName;
  readonly look?: readonly Look[];
  readonly children?: ReactNode;
}

export function Button({ icon, look = [], children, type = "button", ...rest }: ButtonProps) {
  return (
    <button {...rest} type={type} className={["button", ...look].join(" ")}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

/** A button whose word is in its label only. */
export function IconButton({ icon, label, ...rest }: { icon: IconName; label: string } & ButtonProps) {
  return <Button {...rest} icon={icon} look={["ghost", "square"]} aria-label={label} title={label} />;
}
