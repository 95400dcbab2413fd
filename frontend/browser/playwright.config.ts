import { existsSync } from "node:fs";
import { defineConfig } from "@playwright/test";
import type { Store } from "./database";

/** Debian's; Playwright's own is not downloaded. */
export const CHROMIUM =
  process.env.CHROMIUM ??
  ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

/** The stories that a store could spoil run on both. */
export default defineConfig<object, { store: Store }>({
  testDir: ".",
  outputDir: "../test-results",
  // A file of stories has a server and a browser for itself.
  workers: 2,
  timeout: 90_000,
  expect: { timeout: 15_000 },
  retries: process.env.CI ? 1 : 0,
  reporter: [["list"]],
  use: {
    viewport: { width: 1280, height: 800 },
    locale: "en-US",
    colorScheme: "light",
    launchOptions: { executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] },
  },
  projects: [
    { name: "sqlite", testMatch: /(stories|survive|keep|axe|states)\.spec\.ts/ },
    {
      name: "mongodb",
      testMatch: /(stories|survive)\.spec\.ts/,
      grepInvert: /@once/,
      use: { store: "mongodb" },
    },
    { name: "speed", testMatch: /speed\.spec\.ts/ },
    { name: "pictures", testMatch: /pictures\.spec\.ts/ },
  ],
});
