import { Link } from "@tanstack/react-router";
import { type FormEvent, useEffect, useState, useSyncExternalStore } from "react";
import type { Schemas } from "../../core/client";
import { sharedFollow } from "../../core/shared-follow";
import { isEnded } from "../../core/status";
import { threadOf } from "../../core/thread";
import { Banner } from "../../ui/Banner";
import { Button } from "../../ui/Button";
import { Field } from "../../ui/Field";
import { Status } from "../../ui/Status";
import { useWords } from "../../ui/words";
import { useServices } from "../app/services";
import { ChatStore } from "../chat/chat-store";
import { ThreadView } from "../chat/ThreadView";

/** A run of the agent beside its definition; it is a run like any other. */
export function Playground({ agent }: { agent: Schemas["AgentView"] }) {
  const words = useWords();
  const { api, streams } = useServices();
  const [store] = useState(() => new ChatStore(api, () => undefined, {}, sharedFollow(streams)));
  const state = useSyncExternalStore(store.subscribe, store.snapshot);
  const [message, setMessage] = useState("");
  useEffect(() => () => store.close(), [store]);
  const { run } = state;
  const live = run !== null && !isEnded(run.status);
  function submit(event: FormEvent): void {
    event.preventDefault();
    store.send(message, agent.id);
  }
  return (
    <section className="panel" aria-label={words.agents.playground}>
      <h2>{words.agents.playground}</h2>
      <p className="quiet small">{words.agents.tryHint}</p>
      <form className="form" onSubmit={submit}>
        <Field label={words.chat.message} rows={3} value={message} onText={setMessage} />
        <div className="actions-row">
          <Button type="submit" icon="send" look={["primary"]} disabled={live || message.trim() === ""}>
            {words.agents.tryIt}
          </Button>
          {live && (
            <Button icon="stop" look={["danger"]} onClick={() => void store.cancel()}>
              {words.command.stop}
            </Button>
          )}
          {run !== null && <Status status={run.status} />}
          {run !== null && run.lastSeq > 0 && (
            <Link to="/runs/$run" params={{ run: run.runId }}>
              {words.chat.openRun}
            </Link>
          )}
        </div>
      </form>
      {state.problem !== null && <Banner tone="danger">{state.problem}</Banner>}
      <div className="playground-thread">
        <ThreadView
          items={threadOf(state.history, run)}
          live={live}
          busy={state.command !== null}
          onDecide={(id, answer) => void store.decide(id, answer)}
        />
        {run?.error && <Banner tone="danger">{run.error.message}</Banner>}
      </div>
    </section>
  );
}
