/** What a person changes before a fork, as texts of a form, and as the server takes it. Pure. */

import type { Schemas } from "./client";

export interface ForkDraft {
  readonly query: string;
  readonly systemPrompt: string | null;
  readonly model: string;
  readonly temperature: string;
  readonly maxSteps: string;
  /** Tools that the agent keeps; null: all that it has. */
  readonly tools: readonly string[] | null;
  /** New contents by position in the conversation. */
  readonly edits: Readonly<Record<number, string>>;
  /** Answers for calls that are open at the checkpoint: those tools are not called. */
  readonly results: Readonly<Record<string, string>>;
}

export const NO_CHANGES: ForkDraft = {
  query: "",
  systemPrompt: null,
  model: "",
  temperature: "",
  maxSteps: "",
  tools: null,
  edits: {},
  results: {},
};

export type Modifications = Schemas["Modifications"];

/** Names of fields that cannot be read as a number. */
export function wrongFields(draft: ForkDraft): readonly ("temperature" | "maxSteps")[] {
  const wrong: ("temperature" | "maxSteps")[] = [];
  if (draft.temperature.trim() !== "" && !Number.isFinite(Number(draft.temperature)))
    wrong.push("temperature");
  if (draft.maxSteps.trim() !== "" && !/^\d+$/.test(draft.maxSteps.trim())) wrong.push("maxSteps");
  return wrong;
}

/** Only what was changed: what is left as it is, is not named. */
export function modificationsOf(draft: ForkDraft): Modifications {
  const edits = Object.entries(draft.edits).map(([index, content]) => ({ index: Number(index), content }));
  const results = Object.entries(draft.results).filter(([, text]) => text !== "");
  return {
    ...(draft.query.trim() === "" ? {} : { modified_query: draft.query }),
    ...(draft.systemPrompt === null ? {} : { system_prompt: draft.systemPrompt }),
    ...(draft.model.trim() === "" ? {} : { model: draft.model.trim() }),
    ...(draft.temperature.trim() === "" ? {} : { temperature: Number(draft.temperature) }),
    ...(draft.maxSteps.trim() === "" ? {} : { max_steps: Number(draft.maxSteps) }),
    ...(draft.tools === null ? {} : { tools: [...draft.tools] }),
    ...(edits.length === 0 ? {} : { modified_messages: edits }),
    ...(results.length === 0 ? {} : { tool_results: Object.fromEntries(results) }),
  };
}

/** Calls of the last messages that no tool message answers. */
export function openCalls(messages: readonly Schemas["MessageView"][]): readonly Schemas["ToolCallView"][] {
  const answered = new Set(messages.map(({ tool_call_id }) => tool_call_id).filter(Boolean));
  const last = messages.findLast(({ role }) => role === "assistant");
  return (last?.tool_calls ?? []).filter(({ id }) => !answered.has(id));
}

/** 1–3, 5: numbers as stretches. */
export function stretches(numbers: readonly number[]): string {
  const sorted = [...new Set(numbers)].sort((a, b) => a - b);
  const parts: [number, number][] = [];
  for (const one of sorted) {
    const last = parts.at(-1);
    if (last !== undefined && last[1] === one - 1) last[1] = one;
    else parts.push([one, one]);
  }
  return parts.map(([from, to]) => (from === to ? String(from) : `${from}–${to}`)).join(", ");
}
