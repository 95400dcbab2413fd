/** Who is listening to which key command: the view that came last is asked first. */

import { useEffect, useRef } from "react";
import { type KeyCommand, press, SEQUENCE_MS } from "../../core/keymap";
import { useServices } from "./services";

export type KeyHandlers = Partial<Readonly<Record<KeyCommand, () => void>>>;

export class KeyBoard {
  private readonly stack: (() => KeyHandlers)[] = [];
  private pending = "";
  private pressedAtMs = 0;

  listen(handlers: () => KeyHandlers): () => void {
    this.stack.push(handlers);
    return () => {
      this.stack.splice(this.stack.indexOf(handlers), 1);
    };
  }

  /** Handles a key; says whether it meant anything here. */
  press(event: KeyboardEvent, singleKeys: boolean): boolean {
    const nowMs = event.timeStamp;
    const pending = nowMs - this.pressedAtMs < SEQUENCE_MS ? this.pending : "";
    const target = event.target;
    const { key, ctrlKey: ctrl, metaKey: meta, altKey: alt, shiftKey: shift } = event;
    const pressed = press({ key, ctrl, meta, alt, shift, typing: isTyping(target) }, pending, singleKeys);
    this.pending = pressed.pending;
    this.pressedAtMs = nowMs;
    const inDialog = document.querySelector("dialog[open]") !== null;
    for (const handlers of [...this.stack].reverse()) {
      for (const command of pressed.commands) {
        const handler = inDialog && command !== "palette" ? undefined : handlers()[command];
        if (handler !== undefined) {
          handler();
          return true;
        }
      }
    }
    return false;
  }
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

/** Listens while the component is mounted. */
export function useKeys(handlers: KeyHandlers): void {
  const { keyBoard } = useServices();
  const latest = useRef(handlers);
  useEffect(() => {
    latest.current = handlers;
  });
  useEffect(() => keyBoard.listen(() => latest.current), [keyBoard]);
}
