import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { useState } from "react";
import type { Schemas } from "../../core/client";
import { type ForkDraft, modificationsOf, NO_CHANGES, wrongFields } from "../../core/fork-draft";
import { shortId } from "../../core/ids";
import { messageOf } from "../../core/problem";
import { Banner } from "../../ui/Banner";
import { Button, IconButton } from "../../ui/Button";
import { useWords } from "../../ui/words";
import { queries } from "../app/queries";
import { useServices } from "../app/services";
import { CopyAs } from "../shared/CopyAs";
import { Loaded } from "../shared/Loaded";
import { ForkChanges } from "./ForkChanges";
import { ForkState } from "./ForkState";
import { ReplayPlan } from "./ReplayPlan";

const MAX_VARIANTS = 5;

export function ForkPage() {
  const { checkpoint: id } = useParams({ from: "/fork/$checkpoint" });
  const { client } = useServices();
  const query = useQuery(queries.checkpoint(client, id));
  return (
    <div className="page fork-page">
      <Loaded query={query} lines={8}>
        {(checkpoint) => <Sheet key={checkpoint.id} checkpoint={checkpoint} />}
      </Loaded>
    </div>
  );
}

function Sheet({ checkpoint }: { checkpoint: Schemas["CheckpointView"] }) {
  const words = useWords();
  const { client } = useServices();
  const navigate = useNavigate();
  const [drafts, setDrafts] = useState<readonly ForkDraft[]>([NO_CHANGES]);
  const [at, setAt] = useState(0);
  const draft = drafts[at] ?? NO_CHANGES;
  const change = (changes: Partial<ForkDraft>) =>
    setDrafts((old) => old.map((one, index) => (index === at ? { ...one, ...changes } : one)));
  const body = launchBody(drafts);
  const path = `/api/checkpoints/${encodeURIComponent(checkpoint.id)}/fork`;
  const launch = useMutation({
    mutationFn: () =>
      client.post("/api/checkpoints/{checkpoint_id}/fork", { path: { checkpoint_id: checkpoint.id }, body }),
    onSuccess: (answer) => {
      if ("items" in answer) return;
      const run = answer.new_run_id ?? answer.run_id;
      void navigate({ to: "/chat/$session", params: { session: answer.session_id }, search: { run } });
    },
  });
  const made = launch.data !== undefined && "items" in launch.data ? launch.data.items : [];
  const wrong = drafts.some((one) => wrongFields(one).length > 0);
  return (
    <>
      <header className="page-head">
        <h2>{words.fork.from(checkpoint.step)}</h2>
        <Link
          to="/runs/$run"
          params={{ run: checkpoint.run_id }}
          search={{ ckpt: checkpoint.id }}
          className="mono"
        >
          {shortId(checkpoint.run_id)}
        </Link>
        <span className="quiet small">{words.fork.untouched}</span>
      </header>
      {launch.error !== null && <Banner tone="danger">{messageOf(launch.error)}</Banner>}
      <Variants
        count={drafts.length}
        at={at}
        onPick={setAt}
        onDrop={(index) => {
          setDrafts((old) => old.filter((_, one) => one !== index));
          setAt(0);
        }}
        onAdd={() => {
          setDrafts((old) => [...old, draft]);
          setAt(drafts.length);
        }}
      />
      <div className="fork-columns">
        <ForkState checkpoint={checkpoint} draft={draft} onChange={change} />
        <ForkChanges key={at} checkpoint={checkpoint} draft={draft} onChange={change} />
        <ReplayPlan checkpoint={checkpoint} draft={draft} />
      </div>
      <footer className="fork-foot">
        <Button
          icon="branch"
          look={["primary"]}
          disabled={launch.isPending || wrong || made.length > 0}
          onClick={() => launch.mutate()}
        >
          {words.fork.launch(drafts.length)}
        </Button>
        <CopyAs
          actions={[{ name: words.fork.launch(drafts.length), action: { method: "POST", path, body } }]}
        />
      </footer>
      {made.length > 0 && (
        <section className="panel" aria-label={words.fork.launched}>
          <h2>{words.fork.launched}</h2>
          <ul className="lines">
            {made.map((fork, index) => (
              <li key={fork.run_id}>
                <Link to="/runs/$run" params={{ run: fork.new_run_id ?? fork.run_id }}>
                  {words.fork.variant(index + 1)} · {shortId(fork.new_run_id ?? fork.run_id)}
                </Link>{" "}
                <Link to="/compare" search={{ a: checkpoint.run_id, b: fork.new_run_id ?? fork.run_id }}>
                  {words.command.compare}
                </Link>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

function launchBody(drafts: readonly ForkDraft[]): Schemas["ForkBody"] {
  const changes = drafts.map(modificationsOf);
  return changes.length === 1 ? { modifications: changes[0] ?? {} } : { variants: changes };
}

interface VariantsProps {
  readonly count: number;
  readonly at: number;
  onPick(index: number): void;
  onDrop(index: number): void;
  onAdd(): void;
}

function Variants({ count, at, onPick, onDrop, onAdd }: VariantsProps) {
  const words = useWords();
  return (
    <div className="variants">
      {count > 1 &&
        Array.from({ length: count }, (_, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a variant is its place
          <span key={index} className="variant" data-current={index === at || undefined}>
            <Button look={["compact"]} aria-pressed={index === at} onClick={() => onPick(index)}>
              {words.fork.variant(index + 1)}
            </Button>
            <IconButton
              icon="close"
              label={words.fork.removeVariant(index + 1)}
              onClick={() => onDrop(index)}
            />
          </span>
        ))}
      {count < MAX_VARIANTS && (
        <Button icon="new" look={["compact"]} onClick={onAdd}>
          {words.fork.addVariant}
        </Button>
      )}
    </div>
  );
}
