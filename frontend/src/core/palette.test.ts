import { describe, expect, it } from "vitest";
import { type PaletteEntry, rank, scoreOf } from "./palette";

const entry = (title: string, group = "Pages", also?: string): PaletteEntry => ({
  id: title,
  title,
  group,
  also,
});
const ENTRIES = [
  entry("Home"),
  entry("Runs"),
  entry("New chat", "Actions"),
  entry("Chat"),
  entry("What is the weather?", "Runs", "r-4711"),
];
const titles = (typed: string, limit?: number) => rank(ENTRIES, typed, limit).map(({ title }) => title);

describe("rank", () => {
  it("keeps the order where nothing is typed, up to its limit", () => {
    expect(titles("", 2)).toEqual(["Home", "Runs"]);
  });

  it("puts beginnings before words, words before pieces, and titles before the rest", () => {
    expect(titles("chat")).toEqual(["Chat", "New chat"]);
    expect(titles("runs")).toEqual(["Runs", "What is the weather?"]);
    expect(titles("eat")).toEqual(["What is the weather?"]);
  });

  it("needs every word, anywhere", () => {
    expect(titles("weather 4711")).toEqual(["What is the weather?"]);
    expect(titles("weather home")).toEqual([]);
  });

  it("does not mind capitals", () => {
    expect(scoreOf(entry("Home"), "HO")).toBe(scoreOf(entry("Home"), "ho"));
    expect(scoreOf(entry("Home"), "x")).toBeNull();
  });
});
