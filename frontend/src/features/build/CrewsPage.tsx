import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import type { Client, Schemas } from "../../core/client";
import { clock, pretty } from "../../core/format";
import { messageOf } from "../../core/problem";
import type { RecordField } from "../../core/record-form";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { Payload } from "../../ui/Payload";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { CrewScheduleDialog } from "../schedules/CrewScheduleDialog";
import { Loaded } from "../shared/Loaded";
import { RecordDialog } from "../shared/RecordForm";
import type { Written } from "./GenerateDialog";
import { RecordsPage } from "./RecordsPage";

type Crew = Schemas["StoredCrewView"];

export function CrewsPage() {
  const words = useWords();
  const { client } = useServices();
  const query = useQuery(queries.crews(client));
  const { crews, build } = words;
  return (
    <RecordsPage<Crew>
      words={crews}
      query={query}
      queryKey="crews"
      fields={useFields()}
      idOf={({ id }) => id}
      nameOf={({ name }) => name}
      noteOf={({ process }) => crews.processes[process]}
      pathOf={(crew) => (crew === null ? "/api/crews" : `/api/crews/${encodeURIComponent(crew.id)}`)}
      changeBy="PUT"
      create={(body) => client.post("/api/crews", { body: body as unknown as Schemas["StoredCrewBody"] })}
      change={({ id }, body) =>
        client.put("/api/crews/{crew_id}", {
          path: { crew_id: id },
          body: body as Schemas["StoredCrewChanges"],
        })
      }
      remove={({ id }) => client.delete("/api/crews/{crew_id}", { path: { crew_id: id } })}
      facts={(crew) => [
        { name: build.description, value: crew.description },
        { name: crews.process, value: crews.processes[crew.process] },
        { name: crews.model, value: crew.model ?? "" },
        { name: crews.agentIds, value: crew.agent_ids.join(", ") },
        { name: crews.taskIds, value: crew.task_ids.join(", ") },
      ]}
      more={(crew) => <CrewDetail crew={crew} />}
      generate={{ title: words.generate.crew, path: "/api/crew-generation/generate", ask: draft }}
    />
  );
}

function useFields(): readonly RecordField[] {
  const { crews, app, build } = useWords();
  const processes = Object.entries(crews.processes).map(([id, word]) => ({ id, word }));
  return [
    { name: "name", label: app.name, kind: "text", required: true },
    { name: "description", label: build.description, kind: "text" },
    { name: "agents_yaml", label: crews.agents, kind: "code" },
    { name: "tasks_yaml", label: crews.tasks, kind: "code" },
    { name: "agent_ids", label: crews.agentIds, kind: "names" },
    { name: "task_ids", label: crews.taskIds, kind: "names" },
    { name: "process", label: crews.process, kind: "choice", initial: "sequential", choices: processes },
    { name: "model", label: crews.model, kind: "text", nullable: true },
    { name: "verbose", label: crews.verbose, kind: "check" },
  ];
}

/** JSON is YAML too: the server reads either. */
async function draft(client: Client, body: Schemas["GenerationBody"]): Promise<Written> {
  const { crew, agents, tasks, notice } = await client.post("/api/crew-generation/generate", { body });
  const { name, description, process = "sequential" } = crew;
  const start = {
    name,
    description,
    process,
    agents_yaml: JSON.stringify(agents, null, 2),
    tasks_yaml: JSON.stringify(tasks, null, 2),
  };
  return { start, notice };
}

function CrewDetail({ crew }: { crew: Crew }) {
  const words = useWords();
  const { client } = useServices();
  const navigate = useNavigate();
  const [running, setRunning] = useState(false);
  const [scheduling, setScheduling] = useState(false);
  const { crews } = words;
  const { agents_yaml, tasks_yaml, agent_ids, task_ids, process, model } = crew;
  const check = useMutation({
    mutationFn: () =>
      client.post("/api/crews/debug", {
        body: { agents_yaml, tasks_yaml, agent_ids, task_ids, process, model },
      }),
  });
  return (
    <>
      <div className="actions-row">
        <Button icon="resume" look={["primary"]} onClick={() => setRunning(true)}>
          {crews.run}
        </Button>
        <Button icon="approve" disabled={check.isPending} onClick={() => check.mutate()}>
          {crews.check}
        </Button>
        <Button icon="schedule" onClick={() => setScheduling(true)}>
          {crews.schedule}
        </Button>
      </div>
      {check.error !== null && <Banner tone="danger">{messageOf(check.error)}</Banner>}
      {check.data && <Findings found={check.data} />}
      <h3>{crews.agents}</h3>
      <Payload text={pretty(agents_yaml)} name={crews.agents} />
      <h3>{crews.tasks}</h3>
      <Payload text={pretty(tasks_yaml)} name={crews.tasks} />
      <Executions crewId={crew.id} />
      {scheduling && <CrewScheduleDialog crewId={crew.id} onClose={() => setScheduling(false)} />}
      {running && (
        <RecordDialog
          title={crews.run}
          action={crews.run}
          fields={[
            { name: "inputs", label: crews.inputs, kind: "json", initial: "{}" },
            { name: "run_name", label: words.app.name, kind: "text" },
          ]}
          record={null}
          save={async (body) => {
            const made = await client.post("/api/executions", { body: { ...body, crew_id: crew.id } });
            await navigate({ to: "/runs/$run", params: { run: made.execution_id } });
          }}
          call={(body) => ({ method: "POST", path: "/api/executions", body: { ...body, crew_id: crew.id } })}
          onSaved={() => setRunning(false)}
          onClose={() => setRunning(false)}
        />
      )}
    </>
  );
}

function Findings({ found: { valid, errors, warnings, order } }: { found: Schemas["DebugView"] }) {
  const { crews } = useWords();
  return (
    <>
      <Banner tone={valid ? "info" : "danger"}>{valid ? crews.valid : crews.invalid}</Banner>
      <ul className="lines">
        {[...errors, ...warnings].map(({ field, message }) => (
          <li key={`${field} ${message}`} className="history-line">
            <code>{field}</code>
            <span>{message}</span>
          </li>
        ))}
      </ul>
      {order.length > 0 && (
        <p className="quiet small">
          {crews.order}: {order.join(" → ")}
        </p>
      )}
    </>
  );
}

function Executions({ crewId }: { crewId: string }) {
  const { crews } = useWords();
  const { client } = useServices();
  const executions = useQuery(queries.executions(client, crewId));
  return (
    <>
      <h3>{crews.executions}</h3>
      <Loaded query={executions} lines={2}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="quiet small">{crews.noExecutions}</p>
          ) : (
            <ul className="lines">
              {items.map((one) => (
                <li key={one.execution_id} className="history-line">
                  <Link to="/runs/$run" params={{ run: one.execution_id }}>
                    {one.run_name}
                  </Link>
                  <span className="quiet small">{one.status_text}</span>
                  <span className="gap" />
                  <span className="quiet small">{clock(one.created_at)}</span>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </>
  );
}
