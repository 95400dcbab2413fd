import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import type { Schemas } from "../../core/client";
import type { RecordField } from "../../core/record-form";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { RecordDialog } from "../shared/RecordForm";
import { zone } from "./zone";

interface CrewScheduleDialogProps {
  /** Picked when the dialog opens; null: the first of all. */
  readonly crewId: string | null;
  onClose(): void;
}

/** Has a stored crew set to work again and again; each fire reads the crew anew. */
export function CrewScheduleDialog({ crewId, onClose }: CrewScheduleDialogProps) {
  const words = useWords();
  const { client } = useServices();
  const crews = useQuery(queries.crews(client));
  const queryClient = useQueryClient();
  const navigate = useNavigate();
  const { schedules, app, build } = words;
  const stored = crews.data?.items ?? [];
  const fields: readonly RecordField[] = [
    { name: "name", label: app.name, kind: "text", required: true },
    {
      name: "crew_id",
      label: schedules.ofCrew,
      kind: "choice",
      required: true,
      initial: crewId ?? stored[0]?.id ?? "",
      choices: stored.map(({ id, name }) => ({ id, word: name })),
    },
    { name: "inputs", label: words.crews.inputs, kind: "json", initial: "{}" },
    {
      name: "cron_expression",
      label: schedules.cron,
      kind: "text",
      required: true,
      initial: "0 7 * * MON-FRI",
    },
    { name: "timezone", label: schedules.timezone, kind: "text", initial: zone() },
    { name: "enabled", label: build.enabled, kind: "check", initial: "true" },
  ];
  // The form starts with what is there; without the crews there is nothing to pick from.
  if (crews.data === undefined) return null;
  return (
    <RecordDialog
      title={schedules.newOfCrew}
      fields={fields}
      record={null}
      save={async (body) => {
        const made = await client.post("/api/scheduler/schedules", {
          body: body as unknown as Schemas["CrewScheduleBody"],
        });
        await queryClient.invalidateQueries({ queryKey: ["schedules"] });
        await navigate({ to: "/schedules", search: { id: made.id } });
      }}
      call={(body) => ({ method: "POST", path: "/api/scheduler/schedules", body })}
      onSaved={onClose}
      onClose={onClose}
    />
  );
}
