import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Client, Schemas } from "../../core/client";
import { clock } from "../../core/format";
import { shortId } from "../../core/ids";
import { messageOf } from "../../core/problem";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { Figures } from "../../ui/Figures";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { Catalog, Remove } from "../shared/Catalog";
import { CopyAs } from "../shared/CopyAs";
import { Loaded } from "../shared/Loaded";
import { CrewScheduleDialog } from "./CrewScheduleDialog";
import { ScheduleDialog } from "./ScheduleDialog";

export type Schedule = Schemas["ScheduleView"];

export function SchedulesPage() {
  const words = useWords();
  const { client } = useServices();
  const schedules = useQuery(queries.schedules(client));
  const [ofCrew, setOfCrew] = useState(false);
  return (
    <Catalog
      words={words.schedules}
      query={schedules}
      idOf={({ id }) => id}
      nameOf={({ name }) => name}
      noteOf={({ cron, enabled }) => (enabled ? cron : `${cron} · ${words.build.disabled}`)}
      detail={(schedule, onEdit) => <Detail schedule={schedule} onEdit={onEdit} />}
      editor={(schedule, onClose) => <ScheduleDialog schedule={schedule} onClose={onClose} />}
      bar={
        <Button icon="new" onClick={() => setOfCrew(true)}>
          {words.schedules.newOfCrew}
        </Button>
      }
    >
      {ofCrew && <CrewScheduleDialog crewId={null} onClose={() => setOfCrew(false)} />}
    </Catalog>
  );
}

function useDoing(client: Client, { id }: Schedule) {
  const queryClient = useQueryClient();
  const path = { schedule_id: id };
  const onSuccess = () => void queryClient.invalidateQueries({ queryKey: ["schedules"] });
  const toggle = useMutation({
    mutationFn: (enabled: boolean) =>
      client.patch("/api/schedules/{schedule_id}", { path, body: { enabled } }),
    onSuccess,
  });
  const run = useMutation({
    mutationFn: () => client.post("/api/schedules/{schedule_id}/run", { path }),
    onSuccess,
  });
  return { toggle, run, done: onSuccess };
}

function Detail({ schedule, onEdit }: { schedule: Schedule; onEdit(): void }) {
  const words = useWords();
  const { client } = useServices();
  const { toggle, run, done } = useDoing(client, schedule);
  const path = `/api/schedules/${encodeURIComponent(schedule.id)}`;
  const problem = toggle.error ?? run.error;
  const flip = schedule.enabled ? words.schedules.off : words.schedules.on;
  return (
    <>
      {problem !== null && <Banner tone="danger">{messageOf(problem)}</Banner>}
      <div className="actions-row">
        <Button icon="resume" disabled={run.isPending} onClick={() => run.mutate()}>
          {words.schedules.runNow}
        </Button>
        <Button icon="edit" onClick={onEdit}>
          {words.app.edit}
        </Button>
        <Button disabled={toggle.isPending} onClick={() => toggle.mutate(!schedule.enabled)}>
          {flip}
        </Button>
        <Remove
          title={words.build.remove(schedule.name)}
          hint={words.build.removeHint}
          remove={() => client.delete("/api/schedules/{schedule_id}", { path: { schedule_id: schedule.id } })}
          onRemoved={done}
        />
        <CopyAs
          actions={[
            { name: words.schedules.runNow, action: { method: "POST", path: `${path}/run` } },
            { name: flip, action: { method: "PATCH", path, body: { enabled: !schedule.enabled } } },
            { name: words.app.delete, action: { method: "DELETE", path } },
          ]}
        />
      </div>
      <Figures
        figures={[
          { name: words.schedules.cron, value: schedule.cron },
          { name: words.schedules.timezone, value: schedule.timezone },
          { name: words.schedules.agent, value: schedule.chat?.agent_id ?? "" },
          { name: words.schedules.message, value: schedule.chat?.message ?? "" },
          {
            name: words.groups.build,
            value: schedule.crew === null ? "" : words.schedules.crew(schedule.crew),
          },
          { name: words.schedules.missed, value: wordOf(words.schedules.missedWays, schedule.missed) },
          { name: words.schedules.overlap, value: wordOf(words.schedules.overlapWays, schedule.overlap) },
        ]}
      />
      <h3>{words.schedules.next}</h3>
      {schedule.next_fires.length === 0 ? (
        <p className="quiet small">{words.schedules.noNext}</p>
      ) : (
        <ol className="lines">
          {schedule.next_fires.map((at) => (
            <li key={at} className="history-line">
              {clock(at)}
            </li>
          ))}
        </ol>
      )}
      <Fires schedule={schedule} />
    </>
  );
}

const wordOf = (ways: Readonly<Record<string, string>>, way: string): string => ways[way] ?? way;

function Fires({ schedule }: { schedule: Schedule }) {
  const words = useWords();
  const { client } = useServices();
  const fires = useQuery(queries.fires(client, schedule.id));
  const { outcomes } = words.schedules;
  return (
    <>
      <h3>{words.schedules.fires}</h3>
      <Loaded query={fires} lines={2}>
        {({ items }) =>
          items.length === 0 ? (
            <p className="quiet small">{words.schedules.noFires}</p>
          ) : (
            <ol className="lines">
              {items.map(({ tick, manual, outcome, run_id, error }) => (
                <li key={`${tick} ${run_id}`} className="history-line">
                  <span>{clock(tick)}</span>
                  <span className="quiet small">
                    {wordOf(outcomes, outcome ?? "open")}
                    {manual && ` · ${words.schedules.byHand}`}
                  </span>
                  <span className="quiet small clip">{error}</span>
                  {run_id !== null && (
                    <Link to="/runs/$run" params={{ run: run_id }}>
                      {words.approvals.run} {shortId(run_id)}
                    </Link>
                  )}
                </li>
              ))}
            </ol>
          )
        }
      </Loaded>
    </>
  );
}
