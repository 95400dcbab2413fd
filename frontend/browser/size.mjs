/** The size gate: what the page loads before it shows its first screen, gzipped. Exits with 1 when it is too much. */

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const DIST = join(dirname(fileURLToPath(import.meta.url)), "../dist");
const LIMITS = { js: 230, css: 25 };

/** The files that index.html names, and what they import before they run. */
function initial() {
  const page = readFileSync(join(DIST, "index.html"), "utf8");
  const waiting = [...page.matchAll(/(?:src|href)="\/ui\/(assets\/[^"]+)"/g)].map(([, path]) => path);
  const seen = new Set();
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (seen.has(path) || !existsSync(join(DIST, path))) continue;
    seen.add(path);
    if (!path.endsWith(".js")) continue;
    const code = readFileSync(join(DIST, path), "utf8");
    for (const [, name] of code.matchAll(
      /(?:^|[;}\s])(?:import|export)(?:[^'"`;()]*?from)?["'`]\.\/([^"'`]+)["'`]/g,
    )) {
      waiting.push(`assets/${name}`);
    }
  }
  return [...seen];
}

let failed = false;
for (const [kind, limit] of Object.entries(LIMITS)) {
  const files = initial().filter((path) => path.endsWith(`.${kind}`));
  const kB = files.reduce((sum, path) => sum + gzipSync(readFileSync(join(DIST, path))).length, 0) / 1000;
  process.stdout.write(`initial ${kind}: ${kB.toFixed(1)} kB gz of ${limit} (${files.length} files)\n`);
  failed ||= kB > limit || files.length === 0;
}
process.exit(failed ? 1 : 0);
