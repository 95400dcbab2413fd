import { describe, expect, it } from "vitest";
import { changesOf, draftOf, isReadable, NEW_AGENT, newBody } from "./agent-draft";
import type { Schemas } from "./client";
import { modificationsOf, NO_CHANGES, openCalls, stretches, wrongFields } from "./fork-draft";

const AGENT: Schemas["AgentView"] = {
  id: "a1",
  name: "Ann",
  description: "",
  provider: "demo",
  model: "demo",
  system_prompt: "Be kind.",
  tools: ["calculator"],
  max_steps: 10,
  planning_interval: null,
  temperature: 0.5,
  max_tokens: null,
  params: {},
  tags: ["x", "y"],
  enabled: true,
  metadata: {},
  role: null,
  goal: null,
  backstory: null,
  llm: null,
  allow_delegation: false,
  verbose: false,
  version: 1,
  source: "api",
  group_id: "g",
  created_at: "2026-01-01T12:00:00Z",
  updated_at: "2026-01-01T12:00:00Z",
};

describe("a fork's changes", () => {
  it("are none where nothing was changed", () => {
    expect(modificationsOf({ ...NO_CHANGES, query: "  ", model: " " })).toEqual({});
  });

  it("name what was changed, an empty system prompt and no tools included", () => {
    const draft = {
      query: "Why?",
      systemPrompt: "",
      model: " gpt ",
      temperature: "0.2",
      maxSteps: "3",
      tools: [],
      edits: { 2: "new" },
      results: { call_1: "42", call_2: "" },
    };
    expect(modificationsOf(draft)).toEqual({
      modified_query: "Why?",
      system_prompt: "",
      model: "gpt",
      temperature: 0.2,
      max_steps: 3,
      tools: [],
      modified_messages: [{ index: 2, content: "new" }],
      tool_results: { call_1: "42" },
    });
  });

  it("say which numbers are none", () => {
    expect(wrongFields({ ...NO_CHANGES, temperature: "warm", maxSteps: "1.5" })).toEqual([
      "temperature",
      "maxSteps",
    ]);
    expect(wrongFields({ ...NO_CHANGES, temperature: "1", maxSteps: "2" })).toEqual([]);
  });

  it("may answer the calls that nobody has answered", () => {
    const call = (id: string) => ({ id, name: "send", arguments: "{}" });
    const asked = { id: "m1", role: "assistant" as const, content: "", tool_calls: [call("c1"), call("c2")] };
    const told = { id: "m2", role: "tool" as const, content: "ok", tool_call_id: "c1" };
    expect(openCalls([asked, told]).map(({ id }) => id)).toEqual(["c2"]);
    expect(openCalls([])).toEqual([]);
  });
});

describe("stretches", () => {
  it("joins neighbours", () => {
    expect(stretches([5, 1, 2, 3, 3])).toBe("1–3, 5");
    expect(stretches([])).toBe("");
  });
});

describe("an agent's form", () => {
  it("comes back as the agent it was made of: nothing has changed", () => {
    expect(changesOf(draftOf(AGENT), AGENT)).toEqual({});
  });

  it("sends only what differs", () => {
    const draft = { ...draftOf(AGENT), temperature: "", tags: "x, z,, ", tools: ["calculator", "web"] };
    expect(changesOf(draft, AGENT)).toEqual({
      temperature: null,
      tags: ["x", "z"],
      tools: ["calculator", "web"],
    });
  });

  it("leaves the installation's defaults to the installation", () => {
    const body = newBody({ ...NEW_AGENT, name: " Ben " });
    expect(body).toMatchObject({ name: "Ben", max_steps: 10, system_prompt: null, enabled: true });
    expect(Object.keys(body)).not.toContain("model");
    expect(newBody({ ...NEW_AGENT, name: "Ben", id: "ben", provider: "p", model: "m" })).toMatchObject({
      id: "ben",
      provider: "p",
      model: "m",
    });
  });

  it("needs a name and numbers", () => {
    expect(isReadable(draftOf(AGENT))).toBe(true);
    for (const wrong of [{ name: " " }, { maxSteps: "0" }, { maxSteps: "x" }, { temperature: "warm" }]) {
      expect(isReadable({ ...draftOf(AGENT), ...wrong })).toBe(false);
    }
  });
});
