/** What every feature is given: the server, the streams, and what a person has chosen. */

import { createContext, useContext, useSyncExternalStore } from "react";
import type { AgioApi } from "../../core/api";
import type { Client } from "../../core/client";
import type { Credentials } from "../../core/credentials";
import type { Prefs, PrefsStore } from "../../core/prefs";
import type { Streams } from "../../core/shared-follow";
import type { ChatStore } from "../chat/chat-store";
import type { KeyBoard } from "./key-board";
import type { Reach } from "./reach";

export interface Services {
  readonly client: Client;
  readonly api: AgioApi;
  readonly streams: Streams;
  readonly chat: ChatStore;
  readonly credentials: Credentials;
  readonly prefs: PrefsStore;
  readonly reach: Reach;
  readonly keyBoard: KeyBoard;
}

const Context = createContext<Services | null>(null);

export const ServicesProvider = Context.Provider;

export function useServices(): Services {
  const services = useContext(Context);
  if (services === null) throw new Error("there are no services around this component");
  return services;
}

export function usePrefs(): Prefs {
  const { prefs } = useServices();
  return useSyncExternalStore(prefs.subscribe, prefs.snapshot);
}
