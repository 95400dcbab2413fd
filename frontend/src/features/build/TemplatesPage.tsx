import { useQuery } from "@tanstack/react-query";
import type { Schemas } from "../../core/client";
import type { RecordField } from "../../core/record-form";
import { Payload } from "../../ui/Payload";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { RecordsPage } from "./RecordsPage";

type Template = Schemas["TemplateView"];

export function TemplatesPage() {
  const words = useWords();
  const { client } = useServices();
  const query = useQuery(queries.templates(client));
  const { templates, app, build } = words;
  const fields: readonly RecordField[] = [
    { name: "name", label: app.name, kind: "text", required: true },
    { name: "description", label: build.description, kind: "text" },
    { name: "template", label: templates.template, kind: "code", required: true },
    { name: "variables", label: templates.variables, kind: "names" },
  ];
  return (
    <RecordsPage<Template>
      words={templates}
      query={query}
      queryKey="templates"
      fields={fields}
      idOf={({ id }) => id}
      nameOf={({ name }) => name}
      noteOf={({ variables }) => variables.join(", ")}
      pathOf={(one) => (one === null ? "/api/templates" : `/api/templates/${encodeURIComponent(one.id)}`)}
      changeBy="PATCH"
      create={(body) => client.post("/api/templates", { body: body as unknown as Schemas["TemplateBody"] })}
      change={({ id }, body) =>
        client.patch("/api/templates/{template_id}", {
          path: { template_id: id },
          body: body as Schemas["TemplateChanges"],
        })
      }
      remove={({ id }) => client.delete("/api/templates/{template_id}", { path: { template_id: id } })}
      facts={(one) => [
        { name: build.description, value: one.description },
        { name: templates.variables, value: one.variables.join(", ") },
      ]}
      more={(one) => <Payload text={one.template} name={templates.template} />}
    />
  );
}
