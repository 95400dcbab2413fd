import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { Schemas } from "../../core/client";
import type { RecordField } from "../../core/record-form";
import { Button } from "../../ui/Button";
import { useWords } from "../../ui/words";
import { useServices } from "../app/services";
import { type Drafted, GenerateDialog } from "../build/GenerateDialog";
import { RecordDialog } from "../shared/RecordForm";

/** A button that lets a model draft an agent; the person looks at it and creates it. */
export function DraftAgent() {
  const words = useWords();
  const { client } = useServices();
  const navigate = useNavigate();
  const queryClient = useQueryClient();
  const [asking, setAsking] = useState(false);
  const [drafted, setDrafted] = useState<Drafted | null>(null);
  const { drafted: label, generate, app, tasks } = words;
  const fields: readonly RecordField[] = [
    { name: "name", label: app.name, kind: "text", required: true },
    { name: "role", label: label.role, kind: "text" },
    { name: "goal", label: label.goal, kind: "area" },
    { name: "backstory", label: label.backstory, kind: "area" },
    { name: "tools", label: tasks.tools, kind: "names" },
  ];
  return (
    <>
      <Button icon="thought" onClick={() => setAsking(true)}>
        {generate.agent}
      </Button>
      {asking && (
        <GenerateDialog
          title={generate.agent}
          path="/api/agent-generation/generate"
          ask={async (api, body) => {
            const { agent, notice } = await api.post("/api/agent-generation/generate", { body });
            const { name, role, goal, backstory, tools = [] } = agent;
            return { start: { name, role, goal, backstory, tools: tools.join(", ") }, notice };
          }}
          onDraft={(draft) => {
            setAsking(false);
            setDrafted(draft);
          }}
          onClose={() => setAsking(false)}
        />
      )}
      {drafted !== null && (
        <RecordDialog
          title={words.agents.new}
          fields={fields}
          record={null}
          start={drafted.start}
          save={async (body) => {
            const made = await client.post("/api/agents", { body: body as unknown as Schemas["AgentBody"] });
            void queryClient.invalidateQueries({ queryKey: ["agents"] });
            await navigate({ to: "/agents/$agent", params: { agent: made.id } });
          }}
          call={(body) => ({ method: "POST", path: "/api/agents", body })}
          onSaved={() => setDrafted(null)}
          onClose={() => setDrafted(null)}
        >
          {drafted.note}
        </RecordDialog>
      )}
    </>
  );
}
