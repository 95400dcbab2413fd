/** The shared worker: holds the one event stream of this browser. */

import { type Ask, HubHost, type Tell } from "../../core/shared-wire";
import { hubOptions } from "./hub-options";

const host = new HubHost(hubOptions);

/** The compiler's own library of workers cannot be loaded beside that of pages. */
interface Scope {
  onconnect: ((event: MessageEvent) => void) | null;
}

(globalThis as unknown as Scope).onconnect = ({ ports }) => {
  const [port] = ports;
  if (port === undefined) return;
  host.attach({
    post: (tell: Tell) => port.postMessage(tell),
    listen: (handler) => {
      port.onmessage = ({ data }: MessageEvent<Ask>) => handler(data);
    },
  });
};
