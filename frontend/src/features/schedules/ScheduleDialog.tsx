import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import type { Schemas } from "../../core/client";
import type { RecordField } from "../../core/record-form";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { RecordDialog } from "../shared/RecordForm";
import type { Schedule } from "./SchedulesPage";
import { zone } from "./zone";

interface ScheduleDialogProps {
  readonly schedule: Schedule | null;
  onClose(): void;
}

export function ScheduleDialog({ schedule, onClose }: ScheduleDialogProps) {
  const words = useWords();
  const { client } = useServices();
  const queryClient = useQueryClient();
  const navigate = useNavigate();
  const fields = useFields(schedule);
  const path = schedule === null ? "/api/schedules" : `/api/schedules/${encodeURIComponent(schedule.id)}`;
  return (
    <RecordDialog
      title={schedule?.name ?? words.schedules.new}
      fields={fields}
      record={schedule}
      // The server judges what is in it; the form only knows its fields.
      save={async (body) => {
        const { id } =
          schedule === null
            ? await client.post("/api/schedules", { body: body as unknown as Schemas["ScheduleBody"] })
            : await client.patch("/api/schedules/{schedule_id}", {
                path: { schedule_id: schedule.id },
                body: body as Schemas["ScheduleChanges"],
              });
        await queryClient.invalidateQueries({ queryKey: ["schedules"] });
        await navigate({ to: "/schedules", search: { id }, replace: true });
      }}
      call={(body) => ({ method: schedule === null ? "POST" : "PATCH", path, body })}
      onSaved={onClose}
      onClose={onClose}
    />
  );
}

function useFields(schedule: Schedule | null): readonly RecordField[] {
  const words = useWords();
  const { client } = useServices();
  const agents = useQuery(queries.agents(client));
  const info = useQuery(queries.info(client));
  const { schedules, app } = words;
  const ways = (of: Readonly<Record<string, string>>) =>
    Object.entries(of).map(([id, word]) => ({ id, word }));
  const chat: readonly RecordField[] = [
    {
      name: "chat.agent_id",
      label: schedules.agent,
      kind: "choice",
      initial: info.data?.default_agent ?? agents.data?.items[0]?.id ?? "",
      choices: (agents.data?.items ?? []).map(({ id, name }) => ({ id, word: name })),
    },
    { name: "chat.message", label: schedules.message, kind: "area", required: true },
  ];
  return [
    { name: "name", label: app.name, kind: "text", required: true },
    { name: "cron", label: schedules.cron, kind: "text", required: true, initial: "0 7 * * MON-FRI" },
    { name: "timezone", label: schedules.timezone, kind: "text", initial: zone() },
    // A crew's schedule keeps its crew.
    ...(schedule?.chat === null ? [] : chat),
    {
      name: "missed",
      label: schedules.missed,
      kind: "choice",
      initial: "once",
      choices: ways(schedules.missedWays),
    },
    {
      name: "overlap",
      label: schedules.overlap,
      kind: "choice",
      initial: "skip",
      choices: ways(schedules.overlapWays),
    },
    { name: "enabled", label: words.build.enabled, kind: "check", initial: "true" },
  ];
}
