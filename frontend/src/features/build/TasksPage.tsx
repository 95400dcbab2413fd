import { useQuery } from "@tanstack/react-query";
import type { Schemas } from "../../core/client";
import type { RecordField } from "../../core/record-form";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { type Body, RecordsPage } from "./RecordsPage";

type Task = Schemas["StoredTaskView"];

export function TasksPage() {
  const words = useWords();
  const { client } = useServices();
  const query = useQuery(queries.tasks(client));
  const { tasks, app, build } = words;
  const fields: readonly RecordField[] = [
    { name: "name", label: app.name, kind: "text", required: true },
    { name: "description", label: build.description, kind: "area", required: true },
    { name: "expected_output", label: tasks.expected, kind: "area", required: true },
    { name: "agent", label: tasks.agent, kind: "text", nullable: true },
    { name: "tools", label: tasks.tools, kind: "names" },
  ];
  return (
    <RecordsPage<Task>
      words={tasks}
      query={query}
      queryKey="tasks"
      fields={fields}
      idOf={({ id }) => id}
      nameOf={({ name }) => name}
      noteOf={({ agent, tools }) => [agent, ...tools].filter(Boolean).join(" · ")}
      pathOf={(task) => (task === null ? "/api/tasks" : `/api/tasks/${encodeURIComponent(task.id)}`)}
      changeBy="PUT"
      create={(body: Body) =>
        client.post("/api/tasks", { body: body as unknown as Schemas["StoredTaskBody"] })
      }
      change={({ id }, body) =>
        client.put("/api/tasks/{task_id}", {
          path: { task_id: id },
          body: body as Schemas["StoredTaskChanges"],
        })
      }
      remove={({ id }) => client.delete("/api/tasks/{task_id}", { path: { task_id: id } })}
      facts={(task) => [
        { name: build.description, value: task.description },
        { name: tasks.expected, value: task.expected_output },
        { name: tasks.agent, value: task.agent ?? "" },
        { name: tasks.tools, value: task.tools.join(", ") },
      ]}
      generate={{
        title: words.generate.task,
        path: "/api/task-generation/generate",
        ask: async (api, body) => {
          const { task, notice } = await api.post("/api/task-generation/generate", { body });
          const { name, description, expected_output, tools = [] } = task;
          return { start: { name, description, expected_output, tools: tools.join(", ") }, notice };
        },
      }}
    />
  );
}
