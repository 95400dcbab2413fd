/** Figures and times as people read them. */

/** 850 ms, 2.1 s, 3 min 05 s, 1 h 02 min. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  const seconds = ms / 1_000;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const pad = (n: number) => String(n).padStart(2, "0");
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${pad(minutes % 60)} min`;
}

/** 1234567 → 1,234,567. */
export function count(n: number): string {
  return Math.round(n).toLocaleString("en-US");
}

/** US dollars, with as many places as a small sum needs. */
export function cost(dollars: number): string {
  return `$${dollars.toFixed(dollars !== 0 && dollars < 0.1 ? 4 : 2)}`;
}

/** Milliseconds between two ISO instants, or null when one is missing or no instant. */
export function span(from: string | null | undefined, to: string | number | null | undefined): number | null {
  if (!from || to === null || to === undefined) return null;
  const ms = (typeof to === "number" ? to : Date.parse(to)) - Date.parse(from);
  return Number.isNaN(ms) ? null : Math.max(0, ms);
}

/** 14:05 today, otherwise 3 Mar, 14:05. Local time. */
export function clock(iso: string | undefined, nowMs: number = Date.now()): string {
  const at = iso === undefined ? Number.NaN : Date.parse(iso);
  if (Number.isNaN(at)) return "";
  const date = new Date(at);
  const time = date.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  if (date.toDateString() === new Date(nowMs).toDateString()) return time;
  return `${date.toLocaleDateString("en-GB", { day: "numeric", month: "short" })}, ${time}`;
}

/** JSON for reading; text stays as it is. */
export function pretty(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

/** One line that stands for a value: `query: weather in Oslo · limit: 3`. */
export function glimpse(value: unknown, length = 80): string {
  const entries =
    typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : null;
  const flat = entries?.map(([key, field]) => `${key}: ${inline(field)}`).join(" · ") ?? inline(value);
  const line = flat.replace(/\s+/g, " ").trim();
  return line.length > length ? `${line.slice(0, length - 1)}…` : line;
}

function inline(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
