/** How this page says who it is: a key in a header, or the cookie of a login, which the browser sends by itself. */

import type { Fetch } from "./client";

/** What of the browser's storage is used. */
export interface KeyStorage {
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
  removeItem(name: string): void;
}

const NAME = "agio.key";

export class Credentials {
  private kept: string | null = null;

  /**
   * @param tab forgets when the tab is closed.
   * @param browser keeps; used only where the person asked for it.
   */
  constructor(
    private readonly tab: KeyStorage | null,
    private readonly browser: KeyStorage | null,
  ) {}

  get key(): string | null {
    return this.kept ?? read(this.tab) ?? read(this.browser);
  }

  set(key: string, remember: boolean): void {
    this.clear();
    this.kept = key;
    attempt(() => (remember ? this.browser : this.tab)?.setItem(NAME, key));
  }

  clear(): void {
    this.kept = null;
    attempt(() => this.tab?.removeItem(NAME));
    attempt(() => this.browser?.removeItem(NAME));
  }
}

function read(storage: KeyStorage | null): string | null {
  return attempt(() => storage?.getItem(NAME) ?? null) ?? null;
}

/** Storage may be closed to a page; then the key lasts as long as the page does. */
function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}

/** Returns a fetch that sends the key, and tells of every answer that asks for one. */
export function authorized(key: () => string | null, onRefused: () => void, fetch: Fetch): Fetch {
  return async (url, init) => {
    const headers = new Headers(init.headers);
    const present = key();
    if (present !== null) headers.set("X-API-Key", present);
    const response = await fetch(url, { ...init, headers });
    if (response.status === 401) onRefused();
    return response;
  };
}
