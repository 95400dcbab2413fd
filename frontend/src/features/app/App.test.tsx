// @vitest-environment jsdom
import "../../testing/dom";
import { act, fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AgioApi } from "../../core/api";
import { FakeAgio, story } from "../../testing/agio";
import { json, numbered, type WireEvent } from "../../testing/wire";
import { ChatStore } from "../chat/chat-store";
import { App } from "./App";
import { showSelection } from "./navigation";

let agio: FakeAgio;
let store: ChatStore;

beforeEach(() => {
  window.history.replaceState(null, "", "/ui/");
  agio = new FakeAgio();
});

afterEach(async () => {
  await act(() => store.open({ sessionId: null, runId: null }));
});

async function start(path = "/ui/") {
  window.history.replaceState(null, "", path);
  const api = new AgioApi(agio.fetch);
  store = new ChatStore(api, showSelection, { sleep: async () => undefined });
  render(<App api={api} store={store} />);
  await waitFor(() => expect(screen.getByLabelText("Agent")).toHaveProperty("value", "assistant"));
}

async function send(text: string) {
  fireEvent.change(screen.getByLabelText("Message"), { target: { value: text } });
  fireEvent.click(screen.getByRole("button", { name: "Send" }));
  const live = await agio.stream(agio.streams.length - 1);
  agio.addRun(agio.chosenId(), { status: "running", last_seq: 1 });
  return {
    push: (...events: WireEvent[]) => act(async () => live.push(...events)),
    end: () => act(async () => live.end()),
  };
}

const button = (name: string) => screen.findByRole("button", { name });

describe("the page", () => {
  it("has its landmarks, and a message box with a label", async () => {
    await start();
    expect(screen.getByRole("banner")).toBeTruthy();
    expect(screen.getByRole("navigation", { name: "Conversations" })).toBeTruthy();
    expect(screen.getByRole("main")).toBeTruthy();
    expect(screen.getByRole("complementary", { name: "Run" })).toBeTruthy();
    expect(screen.getByRole("heading", { level: 1, name: "Agio" })).toBeTruthy();
    expect(screen.getByLabelText("Message")).toBeTruthy();
  });

  it("says when the demo provider answers, and only then", async () => {
    agio.info = { default_agent: "assistant", provider_configured: false };
    await start();
    expect(await screen.findByText(/provider answers/)).toBeTruthy();
  });

  it("says when the API does not answer", async () => {
    agio.before = ({ path }) => (path.startsWith("/api/sessions") ? null : undefined);
    await start();
    expect(await screen.findByText("The server could not be reached.")).toBeTruthy();
  });
});

describe("a conversation", () => {
  it("streams an answer, with controls that fit the run", async () => {
    await start();
    const live = await send("Hi");
    await live.push(...story().slice(0, 3));
    expect(await screen.findByText("Hello")).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Send" })).toBeNull();
    expect(await button("Pause")).toBeTruthy();
    expect(await button("Stop")).toBeTruthy();
    expect(screen.getByRole("region", { name: "Conversation" }).getAttribute("aria-busy")).toBe("true");
    await live.push(...story().slice(3));
    await live.end();
    expect(await button("Send")).toBeTruthy();
    const said = screen.getAllByRole("status").map(({ textContent }) => textContent);
    expect(said).toContain("Answer complete.");
    expect(window.location.search).toBe(`?session=s1&run=${agio.chosenId()}`);
  });

  it("pauses, resumes and stops on the server", async () => {
    await start();
    const live = await send("Hi");
    await live.push(...story().slice(0, 2));
    const runId = agio.chosenId();
    fireEvent.click(await button("Pause"));
    await live.push(...numbered([{ type: "run_pause_requested" }, { type: "run_paused" }], 3));
    expect(document.activeElement).toBe(screen.getByRole("region", { name: "Conversation" }));
    fireEvent.click(await button("Resume"));
    await live.push(...numbered([{ type: "run_resumed" }], 5));
    fireEvent.click(await button("Stop"));
    await live.push(...numbered([{ type: "run_cancelled", by: "ann" }], 6));
    await live.end();
    expect(await screen.findByText("Stopped.")).toBeTruthy();
    const commands = ["pause", "resume", "cancel"].map((command) => `/api/runs/${runId}/${command}`);
    expect(agio.commands()).toEqual(["/api/chat", ...commands]);
  });

  it("asks for approval where the call is, and sends the answer", async () => {
    await start();
    const live = await send("Mail ann");
    const required = {
      type: "approval_required",
      approval_id: "a1",
      name: "send_mail",
      arguments: { to: "ann" },
    };
    await live.push(...numbered([{ type: "run_started", session_id: "s1" }, required]));
    const card = await screen.findByRole("region", { name: "Approve send_mail?" });
    expect(screen.getAllByRole("alert").map(({ textContent }) => textContent)).toContain(
      "Approval needed for send_mail.",
    );
    fireEvent.click(within(card).getByRole("button", { name: "Approve" }));
    await live.push(
      ...numbered([{ type: "approval_resolved", approval_id: "a1", decision: "approve", by: "ann" }], 3),
    );
    expect(await screen.findByText("Approved by ann")).toBeTruthy();
    expect(agio.server.to("/api/approvals/a1")[0]?.body).toEqual({ decision: "approve" });
  });

  it("names the failed step and offers to retry", async () => {
    await start();
    const live = await send("Hi");
    const error = { code: "provider_unavailable", message: "no answer", retryable: true };
    const fails = [{ type: "run_started" }, { type: "step_started", step: 1 }, { type: "run_failed", error }];
    await live.push(...numbered(fails));
    await live.end();
    expect(await screen.findByText("Failed in step 1: no answer (provider_unavailable)")).toBeTruthy();
    expect(await button("Retry from here")).toBeTruthy();
  });

  it("leaves the text in the box when the server refuses it", async () => {
    await start();
    agio.before = ({ path }) => (path === "/api/chat" ? json({ detail: "disabled" }, 409) : undefined);
    fireEvent.change(screen.getByLabelText("Message"), { target: { value: "Hi" } });
    fireEvent.click(screen.getByRole("button", { name: "Send" }));
    expect(await screen.findByText("disabled")).toBeTruthy();
    expect(screen.getByLabelText("Message")).toHaveProperty("value", "Hi");
    fireEvent.click(await button("Dismiss"));
    expect(screen.queryByText("disabled")).toBeNull();
  });
});

describe("a link", () => {
  beforeEach(() => {
    agio.addRun("r1", { status: "running", last_seq: 3 });
    agio.messages.set("r1", [{ id: "u1", role: "user", content: "Hi", run_id: "r1" }]);
    agio.checkpoints.set("r1", [{ id: "r1.2", run_id: "r1", step: 0, kind: "input", message_count: 1 }]);
    agio.sessions = [{ id: "s1", title: "Greetings" }];
  });

  it("to a run re-attaches to it", async () => {
    await start("/ui/?session=s1&run=r1");
    const live = await agio.stream();
    await act(async () => live.push(...story().slice(0, 3)));
    expect(await screen.findByText("Hello")).toBeTruthy();
    expect(screen.getByText("Hi")).toBeTruthy();
    expect(await button("Stop")).toBeTruthy();
    expect((await button("Greetings")).getAttribute("aria-current")).toBe("true");
  });

  it("to another conversation is a click, and back leads back", async () => {
    await start();
    fireEvent.click(await button("Greetings"));
    await waitFor(() => expect(window.location.search).toBe("?session=s1&run=r1"));
    expect(await screen.findByText("Hi")).toBeTruthy();
    fireEvent.click(await button("New chat"));
    expect(window.location.search).toBe("");
    expect(await screen.findByText("What shall we run?")).toBeTruthy();
    await act(async () => {
      window.history.back();
      await new Promise((resolve) => window.addEventListener("popstate", resolve, { once: true }));
    });
    expect(await screen.findByText("Hi")).toBeTruthy();
  });

  it("leads to a fork: the dialog's fields go out, and the page attaches to the new run", async () => {
    await start("/ui/?session=s1&run=r1");
    const live = await agio.stream();
    await act(async () => live.push(...story()));
    await act(async () => live.end());
    const parent = { run_id: "r1", checkpoint_id: "r1.2", kind: "fork" };
    agio.addRun("r2", { status: "running", parent });
    agio.before = ({ path }) =>
      path.endsWith("/fork") ? json({ run_id: "r2", new_run_id: "r2" }, 201) : undefined;
    fireEvent.click(await button("Fork from Question"));
    const dialog = await screen.findByRole("dialog", { name: "Fork from the checkpoint at step 0" });
    const prompt = within(dialog).getByLabelText("System prompt");
    expect(prompt.getAttribute("placeholder")).toBe("Unchanged: Be kind.");
    fireEvent.change(prompt, { target: { value: "Be brief." } });
    fireEvent.change(within(dialog).getByLabelText("Max steps"), { target: { value: "3" } });
    fireEvent.click(within(dialog).getByRole("button", { name: "Fork" }));
    expect(await button("Forked from run r1")).toBeTruthy();
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(agio.server.to("/api/checkpoints/r1.2/fork")[0]?.body).toEqual({
      modifications: { system_prompt: "Be brief.", max_steps: 3 },
    });
    await waitFor(() => expect(window.location.search).toBe("?session=s1&run=r2"));
    expect(agio.server.to("/api/runs/r2/events")).toHaveLength(1);
  });

  it("leads to a fork that is refused: the dialog stays and says why", async () => {
    await start("/ui/?session=s1&run=r1");
    const live = await agio.stream();
    await act(async () => live.push(...story()));
    agio.before = ({ path }) =>
      path.endsWith("/fork") ? json({ detail: "unknown model 'x'" }, 422) : undefined;
    fireEvent.click(await button("Fork from Question"));
    const dialog = await screen.findByRole("dialog");
    fireEvent.click(within(dialog).getByRole("button", { name: "Fork" }));
    expect(await within(dialog).findByText("unknown model 'x'")).toBeTruthy();
    fireEvent.click(within(dialog).getByRole("button", { name: "Cancel" }));
    expect(screen.queryByRole("dialog")).toBeNull();
  });
});
