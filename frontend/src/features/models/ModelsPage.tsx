import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Schemas } from "../../core/client";
import { Banner } from "../../ui/Banner";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { Loaded } from "../shared/Loaded";

/** Which models answer here, and who uses them. Providers are set up in the server's settings. */
export function ModelsPage() {
  const words = useWords();
  const { client } = useServices();
  const info = useQuery(queries.info(client));
  const agents = useQuery(queries.agents(client));
  return (
    <div className="page">
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
    </div>
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
