import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { AgioApi } from "./core/api";
import { Client } from "./core/client";
import { authorized, Credentials } from "./core/credentials";
import { PrefsStore } from "./core/prefs";
import { sharedFollow } from "./core/shared-follow";
import { KeyBoard } from "./features/app/key-board";
import { newQueryClient } from "./features/app/queries";
import { Root } from "./features/app/Root";
import { Reach } from "./features/app/reach";
import { makeRouter } from "./features/app/router";
import { ChatStore } from "./features/chat/chat-store";
import { placeOf } from "./features/chat/place";
import { openStreams } from "./features/live/streams";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/layout.css";
import "./styles/thread.css";
import "./styles/run.css";
import "./styles/pages.css";
import "./styles/build.css";

/** Storage that the browser's settings close throws when it is looked at. */
function storage(kind: "localStorage" | "sessionStorage"): Storage | null {
  try {
    return window[kind];
  } catch {
    return null;
  }
}

const credentials = new Credentials(storage("sessionStorage"), storage("localStorage"));
const prefs = new PrefsStore(storage("localStorage"), navigator.languages);
const reach = new Reach();
const router = makeRouter();
const queryClient = newQueryClient();

function askWho(): void {
  const { pathname, href } = router.state.location;
  if (pathname !== "/login") void router.navigate({ to: "/login", search: { to: href }, replace: true });
}

const fetchApi = reach.watched(
  authorized(
    () => credentials.key,
    askWho,
    (url, init) => globalThis.fetch(url, init),
  ),
);
const client = new Client(fetchApi);
const api = new AgioApi(fetchApi);
const streams = reach.streams(openStreams(() => credentials.key));
const chat = new ChatStore(
  api,
  (selection, how) => void router.navigate({ ...placeOf(selection), replace: how === "replace" }),
  {},
  sharedFollow(streams),
);

reach.setOnline(navigator.onLine);
window.addEventListener("online", () => reach.setOnline(true));
window.addEventListener("offline", () => reach.setOnline(false));

const root = document.getElementById("root");
if (root === null) throw new Error("the page has no #root");
const services = { client, api, streams, chat, credentials, prefs, reach, keyBoard: new KeyBoard() };
createRoot(root).render(
  <StrictMode>
    <Root services={services} queryClient={queryClient} router={router} />
  </StrictMode>,
);
