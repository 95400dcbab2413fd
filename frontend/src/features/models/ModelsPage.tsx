import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Schemas } from "../../core/client";
import { pretty } from "../../core/format";
import type { RecordField } from "../../core/record-form";
import { Banner } from "../../ui/Banner";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { RecordsPage } from "../build/RecordsPage";
import { Loaded } from "../shared/Loaded";

type Model = Schemas["ModelView"];

/** Models with names of their own; and which answer here, and who uses them. */
export function ModelsPage() {
  const words = useWords();
  const { client } = useServices();
  const query = useQuery(queries.storedModels(client));
  const { storedModels, app } = words;
  const fields: readonly RecordField[] = [
    { name: "name", label: app.name, kind: "text", required: true, fixed: true },
    { name: "provider", label: storedModels.provider, kind: "text", required: true, initial: "openai" },
    { name: "model", label: storedModels.model, kind: "text", required: true },
    { name: "api_key_name", label: storedModels.apiKey, kind: "text", nullable: true },
    { name: "parameters.temperature", label: storedModels.temperature, kind: "number" },
    { name: "parameters.max_tokens", label: storedModels.maxTokens, kind: "number" },
  ];
  return (
    <RecordsPage<Model>
      words={storedModels}
      query={query}
      queryKey="stored-models"
      fields={fields}
      idOf={({ id }) => id}
      nameOf={({ name }) => name}
      noteOf={({ provider, model }) => `${provider}/${model}`}
      pathOf={(model) => (model === null ? "/api/models" : `/api/models/${encodeURIComponent(model.name)}`)}
      changeBy="PATCH"
      create={(body) => client.post("/api/models", { body: body as unknown as Schemas["ModelBody"] })}
      change={({ name }, body) =>
        client.patch("/api/models/{model_name}", {
          path: { model_name: name },
          body: body as Schemas["ModelChanges"],
        })
      }
      remove={({ name }) => client.delete("/api/models/{model_name}", { path: { model_name: name } })}
      facts={(model) => [
        { name: storedModels.provider, value: model.provider },
        { name: storedModels.model, value: model.model },
        { name: storedModels.apiKey, value: model.api_key_name ?? "" },
        ...Object.entries(model.parameters).map(([name, value]) => ({ name, value: pretty(value) })),
      ]}
    >
      <Installed />
    </RecordsPage>
  );
}

/** What the server's settings bring along. */
function Installed() {
  const words = useWords();
  const { client } = useServices();
  const info = useQuery(queries.info(client));
  const agents = useQuery(queries.agents(client));
  return (
    <>
      <Loaded query={info} lines={4}>
        {(value) => (
          <>
            <Banner tone={value.demo ? "warning" : "info"}>
              {value.demo ? `${words.models.demo} ${words.models.demoHint}` : words.models.configured}
            </Banner>
            <section className="panel" aria-label={words.models.default}>
              <h2>{words.models.default}</h2>
              <p className="mono">
                {value.provider}/{value.model}
              </p>
            </section>
            <section className="panel" aria-label={words.models.providers}>
              <h2>{words.models.providers}</h2>
              <ul className="chips">
                {value.providers.map((name) => (
                  <li key={name} className="badge">
                    {name}
                  </li>
                ))}
              </ul>
            </section>
          </>
        )}
      </Loaded>
      <section className="panel" aria-label={words.models.usedBy}>
        <h2>{words.models.usedBy}</h2>
        <Loaded query={agents} lines={3}>
          {({ items }) => <Uses agents={items} />}
        </Loaded>
      </section>
    </>
  );
}

function Uses({ agents }: { agents: readonly Schemas["AgentView"][] }) {
  const words = useWords();
  const byModel = new Map<string, Schemas["AgentView"][]>();
  for (const agent of agents) {
    const name = `${agent.provider}/${agent.model}`;
    byModel.set(name, [...(byModel.get(name) ?? []), agent]);
  }
  if (byModel.size === 0) return <p className="quiet small">{words.models.none}</p>;
  return (
    <dl className="figures">
      {[...byModel].map(([model, users]) => (
        <div key={model} className="figure">
          <dt className="mono">{model}</dt>
          <dd>
            {users.map(({ id, name }) => (
              <Link key={id} to="/agents/$agent" params={{ agent: id }} className="use">
                {name}
              </Link>
            ))}
          </dd>
        </div>
      ))}
    </dl>
  );
}
