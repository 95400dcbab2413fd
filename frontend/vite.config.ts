import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  base: "/ui/",
  plugins: [react()],
  build: {
    outDir: "dist",
    target: "es2022",
    // A strict content security policy allows neither data: URIs nor inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { index: "index.html", "event-source": "src/core/event-source.ts" },
      // Other pages and programs import the second by this name (docs/ui.md).
      preserveEntrySignatures: "exports-only",
      output: {
        entryFileNames: ({ name }) =>
          name === "event-source" ? "event-source.js" : "assets/[name]-[hash].js",
      },
    },
  },
  server: {
    proxy: { "/api": "http://127.0.0.1:8000" },
  },
  test: {
    include: ["src/**/*.test.{ts,tsx}"],
    // core/ must run without a browser; tests that need one say so in their first line.
    environment: "node",
    testTimeout: 30_000,
    restoreMocks: true,
    unstubGlobals: true,
  },
});
