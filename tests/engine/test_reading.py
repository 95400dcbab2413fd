"""What runs left behind: details, steps, differences, comparisons, plans of forks, labels, deletion."""

from typing import Any

import pytest

from agio.domain.errors import Conflict, InvalidTransition, NotFound, ProviderError
from agio.domain.metrics import Usage
from agio.domain.runs import Run, RunFilter
from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest
from agio.engine.continuing import ForkRequest
from agio.engine.engine import Engine
from agio.testing.provider import Answer, Call, Gate, ScriptedProvider, Silence
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    World,
    check_sequence,
    read,
    replay,
    settled,
    start,
    types,
)


@tool(side_effects=False)
async def look(at: str) -> str:
    """Look."""
    return f"{at} is fine"


@tool(idempotent=True)
async def send(text: str) -> str:
    """Send."""
    return f"sent {text}"


async def _source(world: World, provider: ScriptedProvider) -> tuple[Engine, Run, list[str]]:
    """A run of three steps: look, send twice, answer."""
    provider.add(
        Answer("first ", calls=[Call("look", {"at": "it"}, id="c1")], usage=Usage(total_tokens=10)),
        Answer(
            "then ",
            calls=[Call("send", {"text": "a"}, id="c2"), Call("send", {"text": "b"}, id="c3")],
            usage=Usage(total_tokens=20),
        ),
        Answer("done", usage=Usage(total_tokens=40)),
    )
    engine = await world.add_process(tools=[look, send])
    run = await start(engine, "do it", session_id="s")
    await read(engine, run.id)
    ids = [one.id for one in (await engine.store.list_checkpoints("default", run.id)).items]
    assert len(ids) == 4
    return engine, await settled(engine, run.id, RunStatus.COMPLETED), ids


async def _fork(engine: Engine, provider: ScriptedProvider, checkpoint_id: str, *answers: Any, **changes: Any) -> Run:
    provider.add(*answers)
    wish = ForkRequest(checkpoint_id=checkpoint_id, kind="fork", modifications=changes)
    run = await engine.continuing.branch_off(ANN, wish)
    await read(engine, run.id)
    return run


async def test_a_run_is_told_whole(world: World, provider: ScriptedProvider):
    engine, run, _ = await _source(world, provider)
    detail = await engine.reading.detail(ANN, run.id)
    assert (detail.response, detail.spec.input, detail.queue_position) == ("done", "do it", None)
    assert detail.last_seq == len(await replay(engine, run.id))
    assert detail.run.metrics.total_tokens == 70
    assert detail.run.preview == "do it"
    with pytest.raises(NotFound):
        await engine.reading.detail(ANN, "none")


async def test_a_trace_is_read_in_parts_without_gap_or_repetition(world: World, provider: ScriptedProvider):
    engine, run, _ = await _source(world, provider)
    whole = await engine.trees.trace(ANN, run.id)
    assert ([step.step for step in whole.steps], whole.has_more) == ([1, 2, 3], False)
    for limit in range(1, len(await replay(engine, run.id)) + 2):
        parts = [await engine.trees.trace(ANN, run.id, limit=limit)]
        while parts[-1].has_more:
            parts.append(await engine.trees.trace(ANN, run.id, after=parts[-1].through_seq, limit=limit))
        assert [step for part in parts for step in part.steps] == whole.steps
        assert parts[-1].through_seq == whole.through_seq
    assert [step.step for step in (await engine.trees.trace(ANN, run.id, limit=1)).steps] == [1]
    assert not (await engine.trees.trace(ANN, run.id, after=10**15)).steps


async def test_steps_have_their_tools_and_cost(world: World, provider: ScriptedProvider):
    engine, run, ids = await _source(world, provider)
    steps = await engine.reading.steps(ANN, run.id)
    assert [(step.step, step.status, step.content, step.checkpoint_id) for step in steps] == [
        (1, "completed", "first ", ids[1]),
        (2, "completed", "then ", ids[2]),
        (3, "completed", "done", ids[3]),
    ]
    assert [[(use.name, use.result) for use in step.tool_calls] for step in steps] == [
        [("look", "it is fine")],
        [("send", "sent a"), ("send", "sent b")],
        [],
    ]
    assert [step.usage and step.usage.total_tokens for step in steps] == [10, 20, 40]


# -- plans of forks


async def test_a_plan_tells_what_runs_again_and_what_that_changes(world: World, provider: ScriptedProvider):
    engine, run, ids = await _source(world, provider)
    expected = [
        (ids[0], [1, 2, 3], [{"name": "send", "calls": 2}], 70, 0),
        (ids[1], [2, 3], [{"name": "send", "calls": 2}], 60, 0),
        (ids[2], [3], [], 40, 0),
        (ids[3], [3], [], 40, 1),
    ]
    before = provider.calls
    for checkpoint_id, again, risky, tokens, dropped in expected:
        origin = await engine.continuing.origin(ANN, checkpoint_id, {})
        report = await engine.reading.plan_report(ANN, origin)
        assert (report.steps_to_rerun, report.tools_with_side_effects) == (again, risky)
        assert (report.estimated_tokens, origin.plan.dropped) == (tokens, dropped)
    assert provider.calls == before
    assert (await engine.store.list_runs("default", RunFilter(), limit=10)).total == 1
    assert run.session_id == "s"


async def test_a_plan_for_another_question_runs_everything_again(world: World, provider: ScriptedProvider):
    engine, _, ids = await _source(world, provider)
    origin = await engine.continuing.origin(ANN, ids[2], {"modified_query": "do that", "model": "m2"})
    report = await engine.reading.plan_report(ANN, origin)
    assert report.steps_to_rerun == [1, 2, 3]
    assert (origin.plan.fork_position, origin.plan.query, origin.plan.snapshot.model) == (0, "do that", "m2")


async def test_a_tool_that_is_gone_counts_as_one_that_changes_things(world: World, provider: ScriptedProvider):
    engine, _, ids = await _source(world, provider)
    bare = await world.add_process(worker=False)
    report = await bare.reading.plan_report(ANN, await bare.continuing.origin(ANN, ids[0], {}))
    assert {one["name"] for one in report.tools_with_side_effects} == {"look", "send"}
    assert engine is not bare


# -- differences


async def test_a_difference_within_a_run(world: World, provider: ScriptedProvider):
    engine, _, ids = await _source(world, provider)
    diff = await engine.reading.diff(ANN, ids[2], ids[1])
    assert (diff.common, [m.role for m in diff.added]) == (3, ["assistant", "tool", "tool"])
    assert (diff.removed, diff.changed, diff.configuration) == ([], [], [])
    metrics = {change.field: (change.before, change.after) for change in diff.metrics}
    assert metrics["total_tokens"] == (10, 30)
    assert [(change.field, change.before, change.after) for change in diff.state] == [("step", 1, 2)]
    back = await engine.reading.diff(ANN, ids[1], ids[2])
    assert [m.role for m in back.removed] == ["assistant", "tool", "tool"]
    same = await engine.reading.diff(ANN, ids[1], ids[1])
    assert (same.added, same.removed, same.changed, same.metrics, same.state) == ([], [], [], [], [])


async def test_a_difference_between_a_fork_and_its_source(world: World, provider: ScriptedProvider):
    engine, run, ids = await _source(world, provider)
    fork = await _fork(
        engine,
        provider,
        ids[1],
        "other",
        model="m2",
        modified_messages=[{"index": 0, "content": "do it well"}],
        tool_results={"c1": "it is broken"},
    )
    end = (await engine.store.get_run("default", fork.id)).last_checkpoint_id
    assert end is not None
    diff = await engine.reading.diff(ANN, end, ids[3])
    assert diff.common == 0
    changed = [(change.position, change.before.content, change.after.content) for change in diff.changed]
    assert changed[:2] == [(0, "do it", "do it well"), (2, "it is fine", "it is broken")]
    assert (3, "then ", "other") in changed
    assert [(change.field, change.before, change.after) for change in diff.configuration] == [("model", "m", "m2")]
    assert [m.content for m in (await engine.reading.messages(ANN, run.id))][:3] == ["do it", "first ", "it is fine"]


# -- comparisons


async def test_a_fork_is_the_same_as_its_source_up_to_where_it_left(world: World, provider: ScriptedProvider):
    engine, run, ids = await _source(world, provider)
    fork = await _fork(
        engine, provider, ids[1], Answer("then ", calls=[Call("send", {"text": "z"}, id="d1")]), "finished"
    )
    comparison = await engine.reading.compare(ANN, run.id, fork.id)
    assert [(row.step, row.kind) for row in comparison.rows] == [(1, "same"), (2, "changed"), (3, "changed")]
    assert comparison.first_divergence == 2
    assert comparison.rows[1].changes == ("tools",)
    assert comparison.rows[2].changes == ("content",)
    deeper = await _fork(engine, provider, (await _ids(engine, fork.id))[1], "finished")
    assert (await engine.reading.compare(ANN, fork.id, deeper.id)).first_divergence is None
    assert (await engine.reading.compare(ANN, deeper.id, run.id)).first_divergence == 2
    assert (await engine.reading.compare(ANN, run.id, run.id)).first_divergence is None


async def _ids(engine: Engine, run_id: str) -> list[str]:
    return [one.id for one in (await engine.store.list_checkpoints("default", run_id)).items]


async def test_runs_of_different_length_have_rows_of_one_only(world: World, provider: ScriptedProvider):
    engine, run, ids = await _source(world, provider)
    short = await _fork(engine, provider, ids[1], "enough")
    comparison = await engine.reading.compare(ANN, run.id, short.id)
    assert [(row.step, row.kind) for row in comparison.rows] == [(1, "same"), (2, "changed"), (3, "only_a")]
    mirrored = await engine.reading.compare(ANN, short.id, run.id)
    assert mirrored.rows[2].kind == "only_b"
    assert comparison.first_divergence == mirrored.first_divergence == 2


async def test_same_steps_with_other_results_differ(world: World, provider: ScriptedProvider):
    engine, run, ids = await _source(world, provider)
    script = [Answer("first ", calls=[Call("look", {"at": "this"}, id="e1")]), "done"]
    fork = await _fork(engine, provider, ids[0], *script)
    comparison = await engine.reading.compare(ANN, run.id, fork.id)
    assert comparison.first_divergence == 1
    assert comparison.rows[0].changes == ("arguments",)


async def test_the_last_attempt_counts(world: World, provider: ScriptedProvider):
    engine, run, ids = await _source(world, provider)
    twin = await _fork(engine, provider, ids[2], "done")
    assert (await engine.reading.compare(ANN, run.id, twin.id)).first_divergence is None
    provider.add("something else")
    await engine.continuing.rewind(ANN, ForkRequest(checkpoint_id=ids[2], kind="restore"))
    await settled(engine, run.id, RunStatus.COMPLETED)
    comparison = await engine.reading.compare(ANN, run.id, twin.id)
    assert comparison.first_divergence == 3
    left = comparison.rows[2].a
    assert left is not None
    assert left.content == "something else"
    provider.add("short")
    await engine.continuing.rewind(ANN, ForkRequest(checkpoint_id=ids[0], kind="restore"))
    await settled(engine, run.id, RunStatus.COMPLETED)
    comparison = await engine.reading.compare(ANN, run.id, twin.id)
    assert [row.kind for row in comparison.rows] == ["changed", "only_b", "only_b"]
    report = await engine.reading.plan_report(ANN, await engine.continuing.origin(ANN, ids[0], {}))
    assert report.steps_to_rerun == [1]


# -- conversations


async def test_a_step_under_way_is_not_part_of_the_conversation(world: World, provider: ScriptedProvider):
    gate = Gate()

    @tool
    async def slow() -> str:
        """Wait."""
        await gate._pass()
        return "done"

    provider.add(Answer("I look", calls=[Call("slow", {})]), "seen")
    engine = await world.add_process(tools=[slow])
    run = await start(engine, session_id="s")
    await gate.reached.wait()
    assert [m.content for m in await engine.reading.messages(ANN, run.id)] == ["hello"]
    assert [m.content for m in await engine.reading.session_messages(ANN, "s")] == ["hello"]
    gate.open()
    await read(engine, run.id)
    said = ["hello", "I look", "done", "seen"]
    assert [m.content for m in await engine.reading.messages(ANN, run.id)] == said
    assert [m.content for m in await engine.reading.session_messages(ANN, "s")] == said
    with pytest.raises(NotFound):
        await engine.reading.session_messages(ANN, "s", "none")


async def test_a_tree_has_every_branch_and_checkpoint(world: World, provider: ScriptedProvider):
    engine, run, ids = await _source(world, provider)
    fork = await _fork(engine, provider, ids[1], "forked")
    provider.add("restored")
    await engine.continuing.rewind(ANN, ForkRequest(checkpoint_id=ids[2], kind="restore"))
    await settled(engine, run.id, RunStatus.COMPLETED)
    tree = await engine.sessions.tree(ANN, "s")
    assert {head.branch.kind for head in tree.branches} == {"root", "fork", "restore"}
    assert [head.branch.id for head in tree.branches if head.is_current] == [
        (await engine.store.get_run("default", run.id)).branch_id
    ]
    known = {checkpoint.id for checkpoint in tree.checkpoints}
    assert known == {*await _ids(engine, run.id), *await _ids(engine, fork.id)}
    assert tree.superseded == {ids[3]}
    for checkpoint in tree.checkpoints:
        assert checkpoint.parent_id is None or checkpoint.parent_id in known
    assert await engine.sessions.common_ancestor(ANN, run.id, fork.id) == ids[1]


# -- labels and deletion


async def test_a_label_waits_for_the_next_checkpoint_of_a_run_that_works(world: World, provider: ScriptedProvider):
    provider.add(Answer("one ", gate := Gate(), "two"))
    engine = await world.add_process()
    run = await start(engine)
    await gate.reached.wait()
    assert await engine.commands.mark(ANN, run.id, label="here", tags=("t",)) is None
    gate.open()
    events = await read(engine, run.id)
    check_sequence(events)
    made = (await engine.store.list_checkpoints("default", run.id)).items
    assert [(one.label, one.tags) for one in made] == [(None, ()), ("here", ("t",))]
    assert [e.get("label") for e in events if e["type"] == "checkpoint_created"] == [None, "here"]
    marked = await engine.commands.mark(ANN, run.id, label="there", tags=())
    assert marked is not None
    assert (marked.id, marked.label) == (made[-1].id, "there")


async def test_labels_asked_for_together_go_to_one_checkpoint_after_the_other(world: World, provider: ScriptedProvider):
    provider.add(Answer(gate := Gate(), calls=[Call("look", {"at": "x"})]), "done")
    engine = await world.add_process(tools=[look])
    run = await start(engine)
    await gate.reached.wait()
    for label in ("a", "b"):
        await engine.commands.mark(ANN, run.id, label=label, tags=())
    gate.open()
    await read(engine, run.id)
    made = (await engine.store.list_checkpoints("default", run.id)).items
    assert [one.label for one in made] == [None, "a", "b"]


async def test_a_run_without_a_checkpoint_cannot_be_labelled(world: World, provider: ScriptedProvider):
    engine = await world.add_process()
    run = await start(engine, start=False)
    await settled(engine, run.id, RunStatus.PAUSED)
    with pytest.raises(Conflict):
        await engine.commands.mark(ANN, run.id, label="x", tags=())


async def test_what_others_stand_on_is_not_deleted(world: World, provider: ScriptedProvider):
    engine, run, ids = await _source(world, provider)
    fork = await _fork(engine, provider, ids[1], "forked")
    with pytest.raises(Conflict):
        await engine.commands.delete(ANN, run.id)
    provider.add(Answer(Silence()))
    live = await engine.continuing.branch_off(ANN, ForkRequest(checkpoint_id=ids[1], kind="fork"))
    with pytest.raises(InvalidTransition):
        await engine.commands.delete(ANN, live.id)
    with pytest.raises(InvalidTransition):
        await engine.commands.delete(ANN, run.id, cascade=True)
    await engine.commands.cancel(ANN, live.id)
    await settled(engine, live.id, RunStatus.CANCELLED)
    assert [m.content for m in await engine.reading.messages(ANN, fork.id)][-1] == "forked"
    assert set(await engine.commands.delete(ANN, run.id, cascade=True)) == {run.id, fork.id, live.id}
    for run_id in (run.id, fork.id, live.id):
        with pytest.raises(NotFound):
            await engine.reading.detail(ANN, run_id)


async def test_a_fork_alone_is_deleted_and_its_source_is_whole(world: World, provider: ScriptedProvider):
    engine, run, ids = await _source(world, provider)
    before = await replay(engine, run.id)
    fork = await _fork(engine, provider, ids[1], "forked")
    assert await engine.commands.delete(ANN, fork.id) == [fork.id]
    assert await replay(engine, run.id) == before
    provider.add("again")
    again = await engine.continuing.branch_off(ANN, ForkRequest(checkpoint_id=ids[1], kind="fork"))
    assert types(await read(engine, again.id))[-1] == "run_completed"


async def test_a_queued_run_knows_its_place(world: World, provider: ScriptedProvider):
    provider.add(Answer("one ", gate := Gate()))
    provider._default = "ok"
    engine = await world.add_process()
    await start(engine, session_id="s")
    await gate.reached.wait()
    behind = [await start(engine, session_id="s") for _ in range(3)]
    places = [(await engine.reading.detail(ANN, run.id)).queue_position for run in behind]
    assert places == [1, 2, 3]
    gate.open()
    await read(engine, behind[-1].id)


async def test_a_failed_and_a_cancelled_run_have_steps_too(world: World, provider: ScriptedProvider):
    provider.add(Answer("half", ProviderError("no", code="provider_rejected")), Answer("half", Silence()))
    engine = await world.add_process()
    failed = await start(engine)
    await read(engine, failed.id)
    (step,) = await engine.reading.steps(ANN, failed.id)
    assert (step.step, step.status) == (1, "abandoned")
    cancelled = await start(engine)
    await read(engine, cancelled.id, until="content_delta")
    await engine.commands.cancel(ANN, cancelled.id)
    await read(engine, cancelled.id)
    (step,) = await engine.reading.steps(ANN, cancelled.id)
    assert (step.status, step.redone) == ("abandoned", 0)
    assert (await engine.reading.detail(ANN, cancelled.id)).response is None
    with pytest.raises(InvalidTransition):
        await engine.commands.resume(ANN, cancelled.id, ResumeRequest())
