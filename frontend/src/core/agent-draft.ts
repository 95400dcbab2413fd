/** An agent as the texts of a form, and as the server takes it. Pure. */

import type { Schemas } from "./client";

export interface AgentDraft {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  /** `provider/model`, a model's name, or empty for the installation's default. */
  readonly provider: string;
  readonly model: string;
  readonly systemPrompt: string;
  readonly tools: readonly string[];
  readonly maxSteps: string;
  readonly temperature: string;
  readonly tags: string;
  readonly enabled: boolean;
}

export const NEW_AGENT: AgentDraft = {
  id: "",
  name: "",
  description: "",
  provider: "",
  model: "",
  systemPrompt: "",
  tools: [],
  maxSteps: "10",
  temperature: "",
  tags: "",
  enabled: true,
};

export function draftOf(agent: Schemas["AgentView"]): AgentDraft {
  return {
    id: agent.id,
    name: agent.name,
    description: agent.description,
    provider: agent.provider,
    model: agent.model,
    systemPrompt: agent.system_prompt ?? "",
    tools: agent.tools,
    maxSteps: String(agent.max_steps),
    temperature: agent.temperature === null ? "" : String(agent.temperature),
    tags: agent.tags.join(", "),
    enabled: agent.enabled,
  };
}

/** What creating and changing have in common. */
function common(draft: AgentDraft) {
  return {
    name: draft.name.trim(),
    description: draft.description,
    system_prompt: draft.systemPrompt === "" ? null : draft.systemPrompt,
    tools: [...draft.tools],
    max_steps: Number(draft.maxSteps),
    temperature: draft.temperature.trim() === "" ? null : Number(draft.temperature),
    tags: draft.tags
      .split(",")
      .map((tag) => tag.trim())
      .filter(Boolean),
    enabled: draft.enabled,
  };
}

export function newBody(draft: AgentDraft): Schemas["AgentBody"] {
  return {
    ...common(draft),
    ...(draft.id.trim() === "" ? {} : { id: draft.id.trim() }),
    ...(draft.provider.trim() === "" ? {} : { provider: draft.provider.trim() }),
    ...(draft.model.trim() === "" ? {} : { model: draft.model.trim() }),
  };
}

/** Only the fields that differ, so that two people who change different ones do not undo each other. */
export function changesOf(draft: AgentDraft, agent: Schemas["AgentView"]): Schemas["AgentChanges"] {
  const before = { ...common(draftOf(agent)), provider: agent.provider, model: agent.model };
  const after = { ...common(draft), provider: draft.provider.trim(), model: draft.model.trim() };
  const names = Object.keys(after) as (keyof typeof after)[];
  return Object.fromEntries(
    names
      .filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]))
      .map((name) => [name, after[name]]),
  );
}

export function isReadable(draft: AgentDraft): boolean {
  const temperature = Number(draft.temperature);
  return draft.name.trim() !== "" && /^[1-9]\d*$/.test(draft.maxSteps.trim()) && Number.isFinite(temperature);
}
