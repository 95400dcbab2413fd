import { existsSync } from "node:fs";
import { defineConfig } from "@playwright/test";

/** Debian's; Playwright's own is not downloaded. */
export const CHROMIUM =
  process.env.CHROMIUM ??
  ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

export default defineConfig({
  testDir: ".",
  outputDir: "../test-results",
  workers: 1,
  timeout: 45_000,
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
    { name: "stories", testMatch: /stories.*\.spec\.ts/ },
    { name: "pictures", testMatch: /pictures\.spec\.ts/ },
    { name: "more", testMatch: /more.*\.spec\.ts/ },
  ],
});
