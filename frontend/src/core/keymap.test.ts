import { describe, expect, it } from "vitest";
import { en } from "./i18n/en";
import { KEYS, type KeyCommand, keyText, type Press, press } from "./keymap";

const key = (name: string, rest: Partial<Press> = {}): Press => ({
  key: name,
  ctrl: false,
  meta: false,
  alt: false,
  shift: false,
  typing: false,
  ...rest,
});
const commands = (event: Press, pending = "", singleKeys = true) =>
  press(event, pending, singleKeys).commands;

describe("press", () => {
  it("knows chords, on every system, also while one types", () => {
    expect(commands(key("k", { ctrl: true, typing: true }))).toEqual(["palette"]);
    expect(commands(key("K", { meta: true, shift: true }))).toEqual(["palette"]);
  });

  it("knows single keys, but not while one types or where they are turned off", () => {
    expect(commands(key("p"))).toEqual(["run.pause"]);
    expect(commands(key("p", { typing: true }))).toEqual([]);
    expect(commands(key("p"), "", false)).toEqual([]);
    expect(commands(key("k", { ctrl: true }), "", false)).toEqual(["palette"]);
  });

  it("names every command that a key may mean", () => {
    expect(commands(key("n"))).toEqual(["compare.next", "approval.reject"]);
  });

  it("waits for the second key of a sequence", () => {
    const first = press(key("g"), "", true);
    expect(first).toEqual({ commands: [], pending: "g" });
    expect(press(key("r"), first.pending, true)).toEqual({ commands: ["go.runs"], pending: "" });
  });

  it("takes the second key for itself where the sequence means nothing", () => {
    expect(press(key("p"), "g", true).commands).toEqual(["run.pause"]);
    expect(press(key("z"), "g", true)).toEqual({ commands: [], pending: "" });
  });

  it("keeps a sequence open while a modifier goes down, and leaves Alt to the browser", () => {
    expect(press(key("Shift", { shift: true }), "g", true)).toEqual({ commands: [], pending: "g" });
    expect(commands(key("p", { alt: true }))).toEqual([]);
  });

  it("asks for the shift key where much is at stake", () => {
    expect(commands(key("X", { shift: true }))).toEqual(["run.cancel"]);
    expect(commands(key("x"))).toEqual([]);
  });
});

describe("keyText", () => {
  it("says keys as they stand on the keyboard", () => {
    expect([keyText("palette", false), keyText("palette", true)]).toEqual(["Ctrl K", "⌘ K"]);
    expect([keyText("run.cancel", false), keyText("go.home", false)]).toEqual(["Shift X", "g h"]);
  });

  it("has words for every command", () => {
    for (const command of Object.keys(KEYS) as KeyCommand[]) expect(en.keys[command]).not.toBe("");
  });
});
