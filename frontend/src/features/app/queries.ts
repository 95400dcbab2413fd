/** What is read from the server, and under which name it is kept. */

import { keepPreviousData, QueryClient, queryOptions } from "@tanstack/react-query";
import type { Client } from "../../core/client";
import { ApiError } from "../../core/problem";
import { isRunStatus } from "../../core/status";
import type { Span } from "../../core/timeline";
import { readTrace } from "../../core/trace";

/** Lists are looked at again this often while their page is seen; a run that is followed tells by itself. */
const LIST_MS = 4_000;

export function newQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 1_000,
        networkMode: "always",
        retry: (failures, error) => failures < 2 && !(error instanceof ApiError && !error.retryable),
      },
      mutations: { networkMode: "always" },
    },
  });
}

export interface RunFilter {
  readonly status?: string;
  readonly agent?: string;
  readonly q?: string;
  readonly session?: string;
}

export const queries = {
  info: (client: Client) =>
    queryOptions({
      queryKey: ["info"],
      queryFn: ({ signal }) => client.get("/api/info", { signal }),
      staleTime: 60_000,
    }),
  me: (client: Client) =>
    queryOptions({
      queryKey: ["me"],
      queryFn: ({ signal }) => client.get("/api/me", { signal }),
      staleTime: 60_000,
    }),
  runs: (client: Client, filter: RunFilter, limit = 50) =>
    queryOptions({
      queryKey: ["runs", filter, limit],
      queryFn: ({ signal }) =>
        client.get("/api/runs", {
          query: {
            status: filter.status?.split(",").filter(isRunStatus),
            agent_id: filter.agent,
            q: filter.q,
            session_id: filter.session,
            limit,
          },
          signal,
        }),
      refetchInterval: LIST_MS,
      placeholderData: keepPreviousData,
    }),
  run: (client: Client, runId: string) =>
    queryOptions({
      queryKey: ["run", runId, "view"],
      queryFn: ({ signal }) => client.get("/api/runs/{run_id}", { path: { run_id: runId }, signal }),
    }),
  /** Comes in parts: what is there of it is shown, and what is known is not read again. */
  trace: (client: Client, runId: string) =>
    queryOptions({
      queryKey: ["run", runId, "trace"],
      queryFn: ({ signal, client: cache, queryKey }) =>
        readTrace(
          cache.getQueryData<Span>(queryKey),
          (query) => client.get("/api/runs/{run_id}/trace", { path: { run_id: runId }, query, signal }),
          (part) => cache.setQueryData(queryKey, part),
        ),
      // Comparing thousands of spans with themselves costs more than drawing the few that are seen.
      structuralSharing: false,
    }),
  /** The page of the step list that has the step. */
  step: (client: Client, runId: string, step: number) =>
    queryOptions({
      queryKey: ["run", runId, "step", step],
      queryFn: async ({ signal }) => {
        const offset = Math.max(0, step - 5);
        const page = await client.get("/api/runs/{run_id}/steps", {
          path: { run_id: runId },
          query: { limit: 20, offset },
          signal,
        });
        return page.items.findLast((one) => one.step === step) ?? null;
      },
    }),
  messages: (client: Client, runId: string) =>
    queryOptions({
      queryKey: ["run", runId, "messages"],
      queryFn: ({ signal }) =>
        client.get("/api/runs/{run_id}/messages", { path: { run_id: runId }, query: { limit: 100 }, signal }),
    }),
  tree: (client: Client, sessionId: string) =>
    queryOptions({
      queryKey: ["tree", sessionId],
      queryFn: ({ signal }) =>
        client.get("/api/sessions/{session_id}/tree", { path: { session_id: sessionId }, signal }),
    }),
  checkpoint: (client: Client, checkpointId: string) =>
    queryOptions({
      queryKey: ["checkpoint", checkpointId],
      queryFn: ({ signal }) =>
        client.get("/api/checkpoints/{checkpoint_id}", { path: { checkpoint_id: checkpointId }, signal }),
      staleTime: 60_000,
    }),
  diff: (client: Client, checkpointId: string, against: string) =>
    queryOptions({
      queryKey: ["checkpoint", checkpointId, "diff", against],
      queryFn: ({ signal }) =>
        client.get("/api/checkpoints/{checkpoint_id}/diff", {
          path: { checkpoint_id: checkpointId },
          query: { against },
          signal,
        }),
      staleTime: 60_000,
    }),
  compare: (client: Client, a: string, b: string) =>
    queryOptions({
      queryKey: ["compare", a, b],
      queryFn: ({ signal }) => client.get("/api/compare", { query: { a, b }, signal }),
    }),
  approvals: (client: Client, status: "pending" | "approved" | "rejected" | undefined) =>
    queryOptions({
      queryKey: ["approvals", status ?? "all"],
      queryFn: ({ signal }) => client.get("/api/approvals", { query: { status, limit: 100 }, signal }),
      refetchInterval: LIST_MS,
    }),
  sessions: (client: Client, q: string) =>
    queryOptions({
      queryKey: ["sessions", q],
      queryFn: ({ signal }) => client.get("/api/sessions", { query: { q, limit: 100 }, signal }),
      placeholderData: keepPreviousData,
    }),
  agents: (client: Client, q = "") =>
    queryOptions({
      queryKey: ["agents", q],
      queryFn: ({ signal }) => client.get("/api/agents", { query: { q, limit: 100 }, signal }),
      placeholderData: keepPreviousData,
    }),
  versions: (client: Client, agentId: string) =>
    queryOptions({
      queryKey: ["agents", agentId, "versions"],
      queryFn: ({ signal }) =>
        client.get("/api/agents/{agent_id}/versions", {
          path: { agent_id: agentId },
          query: { limit: 20 },
          signal,
        }),
    }),
  tools: (client: Client, q = "") =>
    queryOptions({
      queryKey: ["tools", q],
      queryFn: ({ signal }) => client.get("/api/tools", { query: { q, limit: 100 }, signal }),
      placeholderData: keepPreviousData,
    }),
  accessKeys: (client: Client) =>
    queryOptions({
      queryKey: ["access-keys"],
      queryFn: ({ signal }) => client.get("/api/access-keys", { query: { limit: 100 }, signal }),
    }),
  users: (client: Client) =>
    queryOptions({
      queryKey: ["users"],
      queryFn: ({ signal }) => client.get("/api/users", { query: { limit: 100 }, signal }),
    }),
  schedules: (client: Client) =>
    queryOptions({
      queryKey: ["schedules"],
      queryFn: ({ signal }) => client.get("/api/schedules", { query: { limit: 100 }, signal }),
    }),
  fires: (client: Client, scheduleId: string) =>
    queryOptions({
      queryKey: ["schedules", scheduleId, "fires"],
      queryFn: ({ signal }) =>
        client.get("/api/schedules/{schedule_id}/fires", {
          path: { schedule_id: scheduleId },
          query: { limit: 20 },
          signal,
        }),
      refetchInterval: LIST_MS,
    }),
  providerKeys: (client: Client) =>
    queryOptions({
      queryKey: ["provider-keys"],
      queryFn: ({ signal }) => client.get("/api/keys", { query: { limit: 100 }, signal }),
    }),
  crews: (client: Client) =>
    queryOptions({
      queryKey: ["crews"],
      queryFn: ({ signal }) => client.get("/api/crews", { query: { limit: 100 }, signal }),
    }),
  executions: (client: Client, crewId: string) =>
    queryOptions({
      queryKey: ["executions", crewId],
      queryFn: ({ signal }) =>
        client.get("/api/executions", { query: { crew_id: crewId, limit: 10 }, signal }),
      refetchInterval: LIST_MS,
    }),
  tasks: (client: Client) =>
    queryOptions({
      queryKey: ["tasks"],
      queryFn: ({ signal }) => client.get("/api/tasks", { query: { limit: 100 }, signal }),
    }),
  templates: (client: Client) =>
    queryOptions({
      queryKey: ["templates"],
      queryFn: ({ signal }) => client.get("/api/templates", { query: { limit: 100 }, signal }),
    }),
  storedModels: (client: Client) =>
    queryOptions({
      queryKey: ["stored-models"],
      queryFn: ({ signal }) => client.get("/api/models", { query: { limit: 100 }, signal }),
    }),
};
