import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import type { Schemas } from "../../core/client";
import { messageOf } from "../../core/problem";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Confirm";
import { Field } from "../../ui/Field";
import { Payload } from "../../ui/Payload";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { CopyAs } from "../shared/CopyAs";
import { Loaded } from "../shared/Loaded";
import { ToolEditor } from "./ToolEditor";
import { ToolTester } from "./ToolTester";

type Tool = Schemas["ToolView"];

export function ToolsPage() {
  const words = useWords();
  const { client } = useServices();
  const navigate = useNavigate({ from: "/tools" });
  const { q = "", tool: picked } = useSearch({ from: "/tools" });
  const tools = useQuery(queries.tools(client, q));
  const [editing, setEditing] = useState<Tool | "new" | null>(null);
  const pick = (id: string | undefined) =>
    void navigate({ search: (old) => ({ ...old, tool: id }), replace: true });
  return (
    <div className="page">
      <div className="filters">
        <Field
          label={words.tools.search}
          kind="search"
          value={q}
          onText={(text) =>
            void navigate({ search: (old) => ({ ...old, q: text || undefined }), replace: true })
          }
        />
        <Button icon="new" look={["primary"]} onClick={() => setEditing("new")}>
          {words.tools.new}
        </Button>
      </div>
      <Loaded query={tools} lines={6}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="none">{words.tools.none}</p>
          ) : (
            <div className="queue">
              <ul className="queue-list" aria-label={words.tools.title}>
                {items.map((tool) => (
                  <li key={tool.id}>
                    <button
                      type="button"
                      aria-current={tool.id === (picked ?? items[0]?.id) ? "true" : undefined}
                      onClick={() => pick(tool.id)}
                    >
                      <code>{tool.name}</code>
                      <span className="quiet small">
                        {words.tools[tool.source]}
                        {!tool.enabled && ` · ${words.agents.disabled}`}
                        {tool.requires_approval && ` · ${words.tools.approval}`}
                      </span>
                    </button>
                  </li>
                ))}
              </ul>
              <Detail
                tool={items.find(({ id }) => id === picked) ?? items[0]}
                onEdit={setEditing}
                onGone={() => pick(undefined)}
              />
            </div>
          )
        }
      </Loaded>
      {editing !== null && (
        <ToolEditor
          tool={editing === "new" ? null : editing}
          onClose={() => setEditing(null)}
          onSaved={(tool) => {
            setEditing(null);
            pick(tool.id);
          }}
        />
      )}
    </div>
  );
}

interface DetailProps {
  readonly tool: Tool | undefined;
  onEdit(tool: Tool): void;
  onGone(): void;
}

function Detail({ tool, onEdit, onGone }: DetailProps) {
  const words = useWords();
  const { client } = useServices();
  const queryClient = useQueryClient();
  const [removing, setRemoving] = useState(false);
  const done = () => void queryClient.invalidateQueries({ queryKey: ["tools"] });
  const toggle = useMutation({
    mutationFn: (one: Tool) =>
      client.patch("/api/tools/{tool_id}", { path: { tool_id: one.id }, body: { enabled: !one.enabled } }),
    onSuccess: done,
  });
  const remove = useMutation({
    mutationFn: (one: Tool) => client.delete("/api/tools/{tool_id}", { path: { tool_id: one.id } }),
    onSuccess: () => {
      done();
      setRemoving(false);
      onGone();
    },
  });
  if (tool === undefined) return null;
  const path = `/api/tools/${encodeURIComponent(tool.id)}`;
  const facts = [
    words.tools[tool.source],
    tool.requires_approval ? words.tools.approval : null,
    tool.side_effects ? words.tools.sideEffects : null,
    tool.idempotent ? words.tools.idempotent : null,
    tool.usable ? null : words.tools.unusable,
    tool.enabled ? null : words.agents.disabled,
  ].filter((fact) => fact !== null);
  return (
    <section className="panel" aria-label={tool.name}>
      <h2>
        <code>{tool.name}</code>
      </h2>
      {toggle.error !== null && <Banner tone="danger">{messageOf(toggle.error)}</Banner>}
      <p>{tool.description}</p>
      <p className="quiet small">{facts.join(" · ")}</p>
      {tool.source === "api" && (
        <div className="actions-row">
          <Button icon="edit" onClick={() => onEdit(tool)}>
            {words.app.edit}
          </Button>
          <Button disabled={toggle.isPending} onClick={() => toggle.mutate(tool)}>
            {tool.enabled ? words.tools.disable : words.tools.enable}
          </Button>
          <Button look={["danger"]} onClick={() => setRemoving(true)}>
            {words.app.delete}
          </Button>
          <CopyAs
            actions={[
              {
                name: tool.enabled ? words.tools.disable : words.tools.enable,
                action: { method: "PATCH", path, body: { enabled: !tool.enabled } },
              },
              { name: words.app.delete, action: { method: "DELETE", path } },
            ]}
          />
        </div>
      )}
      <ToolTester key={tool.id} tool={tool} />
      <h3>{words.tools.parameters}</h3>
      <Payload text={JSON.stringify(tool.parameters, null, 2)} name={words.tools.parameters} />
      {removing && (
        <Confirm
          title={words.tools.remove(tool.name)}
          hint={words.tools.removeHint}
          action={words.app.delete}
          busy={remove.isPending}
          problem={remove.error && messageOf(remove.error)}
          onConfirm={() => remove.mutate(tool)}
          onClose={() => setRemoving(false)}
        />
      )}
    </section>
  );
}
