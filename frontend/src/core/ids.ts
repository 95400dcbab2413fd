/** Identifiers that this page chooses itself: run ids and idempotency keys. */

/**
 * Returns a fresh UUIDv7 (RFC 9562, 5.7): 48 bits of Unix milliseconds, then random bits.
 *
 * Not `crypto.randomUUID`: browsers offer that only over HTTPS and on localhost, and Agio also runs on plain
 * HTTP inside a network.
 */
export function newId(nowMs: number = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let i = 0; i < 6; i += 1) bytes[i] = Math.floor(nowMs / 2 ** (8 * (5 - i))) % 256;
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** The part of an id that tells it apart for a person. UUIDv7s of one minute share their first half. */
export function shortId(id: string): string {
  return id.length <= 8 ? id : id.slice(-6);
}
