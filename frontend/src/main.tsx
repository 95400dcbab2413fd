import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { AgioApi } from "./core/api";
import { App } from "./features/app/App";
import { showSelection } from "./features/app/navigation";
import { applyTheme } from "./features/app/useTheme";
import { ChatStore } from "./features/chat/chat-store";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/layout.css";
import "./styles/thread.css";
import "./styles/run.css";

applyTheme();
const api = new AgioApi();
const store = new ChatStore(api, showSelection);
const root = document.getElementById("root");
if (root === null) throw new Error("the page has no #root");
createRoot(root).render(
  <StrictMode>
    <App api={api} store={store} />
  </StrictMode>,
);
