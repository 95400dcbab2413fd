/** Runs the browser suite; where there is no browser it says so loudly, and fails where CI promised one. */

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

const FOUND = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];

if (!FOUND.some((path) => path && existsSync(path))) {
  const line = "#".repeat(78);
  process.stderr.write(
    `${line}\n# BROWSER SUITE SKIPPED: no Chromium here. On Debian: apt-get install chromium\n${line}\n`,
  );
  process.exit(process.env.AGIO_REQUIRE_BROWSER === "1" ? 1 : 0);
}

const projects = process.argv.slice(2).map((name) => `--project=${name}`);
const { status } = spawnSync(
  process.execPath,
  ["node_modules/@playwright/test/cli.js", "test", "--config", "browser/playwright.config.ts", ...projects],
  { stdio: "inherit" },
);
process.exit(status ?? 1);
