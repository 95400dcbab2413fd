import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { Field } from "../../ui/Field";
import { Icon } from "../../ui/Icon";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { Loaded } from "../shared/Loaded";
import { DraftAgent } from "./DraftAgent";

export function AgentsPage() {
  const words = useWords();
  const { client } = useServices();
  const navigate = useNavigate({ from: "/agents" });
  const { q = "" } = useSearch({ from: "/agents" });
  const agents = useQuery(queries.agents(client, q));
  return (
    <div className="page">
      <div className="filters">
        <Field
          label={words.agents.search}
          kind="search"
          value={q}
          onText={(text) => void navigate({ search: { q: text || undefined }, replace: true })}
        />
        <div className="actions-row">
          <Link to="/agents/$agent" params={{ agent: "new" }} className="button primary">
            <Icon name="new" />
            {words.agents.new}
          </Link>
          <DraftAgent />
        </div>
      </div>
      <Loaded query={agents} lines={5}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="none">{words.agents.none}</p>
          ) : (
            <ul className="tiles">
              {items.map((agent) => (
                <li key={agent.id} className="tile" data-off={!agent.enabled || undefined}>
                  <Link to="/agents/$agent" params={{ agent: agent.id }} className="tile-title">
                    {agent.name}
                  </Link>
                  <p className="quiet small clip-lines">{agent.description || agent.system_prompt}</p>
                  <p className="small">
                    <Icon name="model" /> {agent.provider}/{agent.model}
                  </p>
                  {agent.tools.length > 0 && (
                    <p className="small quiet">
                      <Icon name="tool" /> {agent.tools.join(", ")}
                    </p>
                  )}
                  <p className="small quiet">
                    {agent.source === "code" ? words.agents.code : words.agents.version(agent.version)}
                    {!agent.enabled && ` · ${words.agents.disabled}`}
                  </p>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </div>
  );
}
