import { describe, expect, it } from "vitest";
import { PrefsStore, readPrefs } from "./prefs";

const DEFAULTS = { theme: "system", contrast: "system", language: "en", density: "comfy", singleKeys: true };

describe("readPrefs", () => {
  it("takes what is stored, and the default for anything else", () => {
    const stored = JSON.stringify({ theme: "dark", contrast: 7, language: "xx", singleKeys: false });
    expect(readPrefs(stored)).toEqual({ ...DEFAULTS, theme: "dark", singleKeys: false });
    expect(readPrefs("not JSON")).toEqual(DEFAULTS);
    expect(readPrefs(null)).toEqual(DEFAULTS);
  });

  it("speaks the browser's language where there is a catalogue for it", () => {
    expect(readPrefs(null, ["fr-FR", "de-AT", "en"]).language).toBe("de");
    expect(readPrefs(null, ["fr-FR"]).language).toBe("en");
    expect(readPrefs(JSON.stringify({ language: "en" }), ["de"]).language).toBe("en");
  });
});

describe("PrefsStore", () => {
  it("keeps a change and tells of it", () => {
    const held = new Map<string, string>();
    const storage = {
      getItem: (name: string) => held.get(name) ?? null,
      setItem: (name: string, value: string) => void held.set(name, value),
      removeItem: (name: string) => void held.delete(name),
    };
    const store = new PrefsStore(storage);
    let told = 0;
    const leave = store.subscribe(() => {
      told += 1;
    });
    store.change({ theme: "dark" });
    leave();
    store.change({ density: "dense" });
    expect(told).toBe(1);
    expect(new PrefsStore(storage).snapshot()).toMatchObject({ theme: "dark", density: "dense" });
  });

  it("works where storage is closed", () => {
    const closed = () => {
      throw new Error("closed");
    };
    const store = new PrefsStore({ getItem: closed, setItem: closed, removeItem: closed });
    store.change({ theme: "light" });
    expect(store.snapshot().theme).toBe("light");
  });
});
