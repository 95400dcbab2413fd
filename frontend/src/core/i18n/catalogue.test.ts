import { describe, expect, it } from "vitest";
import { de } from "./de";
import { en } from "./en";
import { LANGUAGE_NAMES } from "./languages";
import { loadWords } from "./words";

type Entry = readonly [path: string, value: unknown];

function entries(value: object, path = ""): Entry[] {
  return Object.entries(value).flatMap(([key, one]): Entry[] =>
    typeof one === "object" ? entries(one, `${path}/${key}`) : [[`${path}/${key}`, one]],
  );
}

describe("the catalogues", () => {
  it("have the same entries of the same kinds", () => {
    const shape = (words: object) => entries(words).map(([path, value]) => `${path} ${typeof value}`);
    expect(shape(de)).toEqual(shape(en));
  });

  it("say something in every entry, and use what they are given", () => {
    for (const words of [en, de]) {
      for (const [path, value] of entries(words)) {
        const said = typeof value === "function" ? String(value(3, 4, 5)) : String(value);
        expect(said.trim(), path).not.toBe("");
        expect(said, path).not.toContain("undefined");
      }
    }
  });

  it("are translated: few entries are the same in both", () => {
    const german = new Map(entries(de));
    const texts = entries(en).filter(([, value]) => typeof value === "string");
    const same = texts.filter(([path, value]) => german.get(path) === value);
    expect(same.length / texts.length).toBeLessThan(0.15);
  });

  it("count in both languages", () => {
    expect([en.fork.reused(1), en.fork.reused(2)]).toEqual([
      "1 message reused, free",
      "2 messages reused, free",
    ]);
    expect([de.fork.reused(1), de.fork.reused(2)]).toEqual([
      "1 Nachricht übernommen, kostenlos",
      "2 Nachrichten übernommen, kostenlos",
    ]);
  });

  it("are loaded by name", async () => {
    expect(Object.keys(LANGUAGE_NAMES)).toEqual(["en", "de"]);
    expect(await loadWords("de")).toBe(de);
    expect(await loadWords("en")).toBe(en);
  });
});
