import { describe, expect, it } from "vitest";
import { newId, shortId } from "./ids";

describe("newId", () => {
  it("is a UUIDv7", () => {
    expect(newId()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it("carries the time in its first 48 bits", () => {
    expect(newId(0x0123456789ab).replaceAll("-", "").slice(0, 12)).toBe("0123456789ab");
  });

  it("sorts by time", () => {
    const ids = [1_700_000_000_000, 1_700_000_000_001, 1_800_000_000_000].map((ms) => newId(ms));
    expect([...ids].sort()).toEqual(ids);
  });

  it("is different every time", () => {
    const ids = new Set(Array.from({ length: 1_000 }, () => newId(1_700_000_000_000)));
    expect(ids.size).toBe(1_000);
  });

  it("may be chosen by a client: 1 to 64 letters, digits, _ or -", () => {
    expect(newId()).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
  });
});

describe("shortId", () => {
  it("keeps the end, where ids of one minute differ", () => {
    expect(shortId("01a1fe5d-a1ec-7d42-83fb-f2a62ea49516")).toBe("a49516");
  });

  it("leaves a short id alone", () => {
    expect(shortId("run-1")).toBe("run-1");
  });
});
