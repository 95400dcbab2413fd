import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";

describe("the types of the API", () => {
  it("are what openapi.json says; `make types` makes them anew", async () => {
    const generator: string = "../../types.mjs";
    const { typesOf } = (await import(/* @vite-ignore */ generator)) as { typesOf(): Promise<string> };
    expect(await readFile(new URL("./wire.ts", import.meta.url), "utf8")).toBe(await typesOf());
  });
});
