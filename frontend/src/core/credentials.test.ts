import { describe, expect, it } from "vitest";
import { fakeServer, json } from "../testing/wire";
import { authorized, Credentials, type KeyStorage } from "./credentials";

function storage(): KeyStorage & { readonly held: Map<string, string> } {
  const held = new Map<string, string>();
  return {
    held,
    getItem: (name) => held.get(name) ?? null,
    setItem: (name, value) => void held.set(name, value),
    removeItem: (name) => void held.delete(name),
  };
}

const CLOSED: KeyStorage = {
  getItem: () => {
    throw new Error("closed");
  },
  setItem: () => {
    throw new Error("closed");
  },
  removeItem: () => {
    throw new Error("closed");
  },
};

describe("Credentials", () => {
  it("keeps a key for the tab unless it is to be remembered", () => {
    const [tab, browser] = [storage(), storage()];
    new Credentials(tab, browser).set("k1", false);
    expect([tab.held.size, browser.held.size]).toEqual([1, 0]);
    expect(new Credentials(tab, browser).key).toBe("k1");
    expect(new Credentials(storage(), browser).key).toBeNull();
  });

  it("keeps a remembered key for the browser, and in one place only", () => {
    const [tab, browser] = [storage(), storage()];
    const credentials = new Credentials(tab, browser);
    credentials.set("k1", false);
    credentials.set("k2", true);
    expect([tab.held.size, browser.held.size]).toEqual([0, 1]);
    expect(new Credentials(storage(), browser).key).toBe("k2");
  });

  it("forgets it everywhere", () => {
    const [tab, browser] = [storage(), storage()];
    const credentials = new Credentials(tab, browser);
    credentials.set("k1", true);
    credentials.clear();
    expect([credentials.key, tab.held.size, browser.held.size]).toEqual([null, 0, 0]);
  });

  it("works while the page lasts where storage is closed", () => {
    const credentials = new Credentials(CLOSED, CLOSED);
    credentials.set("k1", true);
    expect(credentials.key).toBe("k1");
    expect(new Credentials(CLOSED, null).key).toBeNull();
  });
});

describe("authorized", () => {
  it("adds the key to what is sent, and nothing without one", async () => {
    const server = fakeServer(() => json({}));
    let key: string | null = "k1";
    const fetch = authorized(
      () => key,
      () => undefined,
      server.fetch,
    );
    await fetch("/api/me", { headers: { Accept: "application/json" } });
    key = null;
    await fetch("/api/me", {});
    expect(server.calls.map(({ headers }) => headers.get("x-api-key"))).toEqual(["k1", null]);
    expect(server.calls[0]?.headers.get("accept")).toBe("application/json");
  });

  it("tells of answers that ask who is there, and of no others", async () => {
    let refusals = 0;
    const server = fakeServer((_, nth) => json({}, [200, 401, 403][nth]));
    const fetch = authorized(
      () => null,
      () => {
        refusals += 1;
      },
      server.fetch,
    );
    for (let i = 0; i < 3; i += 1) await fetch("/api/me", {});
    expect(refusals).toBe(1);
  });
});
