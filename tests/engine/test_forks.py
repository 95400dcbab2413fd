"""Restore and fork: what is taken over, what is changed, and that the source never notices."""

import asyncio
from typing import Any

import pytest

from agio.domain.errors import AlreadyExists, Invalid, NotFound, ProviderError
from agio.domain.runs import Budget, Run
from agio.domain.status import RunStatus
from agio.engine.commands import ResumeRequest
from agio.engine.continuing import ForkRequest
from agio.engine.engine import Engine
from agio.storage.port import BRANCHES, SESSIONS
from agio.testing.provider import Answer, Call, ScriptedProvider, Silence
from agio.tools.decorator import tool
from tests.engine.world import (
    ANN,
    BOB,
    Away,
    World,
    agent,
    check_request,
    check_sequence,
    dump,
    faults,
    read,
    settled,
    start,
    types,
)

SECRET = "the abandoned future"
SOURCES = ["completed", "failed", "cancelled", "forked"]
calls_of_add: list[int] = []


@tool(idempotent=True)
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    calls_of_add.append(a)
    return a + b


@tool(side_effects=False)
async def look() -> str:
    """Look."""
    return "nothing to see"


def _agents() -> list[Any]:
    return [agent(system_prompt="Be good.", tools=("add",), temperature=0.5)]


async def _process(world: World) -> Engine:
    return await world.add_process(tools=[add, look], agents=_agents())


async def _source(engine: Engine, provider: ScriptedProvider, how: str = "completed", **options: Any) -> Run:
    """A run of a tool step and what came after it."""
    provider.add(Answer("I add. ", calls=[Call("add", {"a": 1, "b": 2}, id=f"c-{how}")]))
    if how == "forked":
        provider.add("dropped")
        base = await start(engine, "how much is 1 + 2?", **options)
        await read(engine, base.id)
        provider.add(SECRET)
        run = await _fork(engine, (await _checkpoints(engine, base.id))[1])
    elif how == "cancelled":
        provider.add(Answer(SECRET, Silence()))
        run = await start(engine, "how much is 1 + 2?", **options)
        await _until_secret(engine, run.id)
        await engine.commands.cancel(ANN, run.id)
    else:
        failure = ProviderError("no", code="provider_rejected")
        provider.add(SECRET if how == "completed" else Answer(SECRET, failure))
        run = await start(engine, "how much is 1 + 2?", **options)
    await read(engine, run.id)
    return await settled(engine, run.id, RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)


async def _until_secret(engine: Engine, run_id: str) -> None:
    seen = 0
    while True:
        events = await read(engine, run_id, after=seen, until="content_delta")
        if any(event.get("content") == SECRET for event in events):
            return
        seen = events[-1]["seq"]


async def _checkpoints(engine: Engine, run_id: str) -> list[str]:
    return [one.id for one in (await engine.store.list_checkpoints("default", run_id)).items]


async def _fork(engine: Engine, checkpoint_id: str, *, kind: Any = "fork", **options: Any) -> Run:
    modifications = options.pop("modifications", {})
    wish = ForkRequest(checkpoint_id=checkpoint_id, kind=kind, modifications=modifications, **options)
    return await engine.continuing.branch_off(ANN, wish)


async def _asked(engine: Engine, provider: ScriptedProvider, checkpoint_id: str, **modifications: Any) -> Any:
    """Fork and return the request that the model got first."""
    before = provider.calls
    provider.add("forked")
    run = await _fork(engine, checkpoint_id, modifications=modifications)
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    request = provider.requests[before]
    check_request(request.messages)
    return request


@pytest.mark.parametrize("kind", ["fork", "restore"])
@pytest.mark.parametrize("how", SOURCES)
async def test_a_new_run_knows_the_past_and_nothing_of_the_future(
    world: World, provider: ScriptedProvider, how: str, kind: Any
):
    engine = await _process(world)
    source = await _source(engine, provider, how)
    before = await dump(engine, source.id)
    ids = await _checkpoints(engine, source.id)
    at_step = ids[0] if how == "forked" else ids[1]
    provider.add("another future")
    run = await _fork(engine, at_step, kind=kind)
    events = await read(engine, run.id)
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    request = provider.requests[-1]
    check_request(request.messages)
    assert [m.role for m in request.messages] == ["system", "user", "assistant", "tool"]
    assert SECRET not in str(request)
    assert (run.parent and (run.parent.run_id, run.parent.checkpoint_id, run.parent.kind)) == (source.id, at_step, kind)
    assert await dump(engine, source.id) == before
    first = next(event for event in events if event["type"] == "checkpoint_created")
    assert first["parent_checkpoint_id"] == at_step


@pytest.mark.parametrize("how", SOURCES)
async def test_every_checkpoint_of_an_ended_run_can_be_forked(world: World, provider: ScriptedProvider, how: str):
    engine = await _process(world)
    source = await _source(engine, provider, how)
    before = await dump(engine, source.id)
    provider._default = "again"
    for checkpoint_id in await _checkpoints(engine, source.id):
        run = await _fork(engine, checkpoint_id)
        events = await read(engine, run.id)
        check_sequence(events)
        assert types(events)[-1] == "run_completed"
        check_request(provider.requests[-1].messages)
    assert await dump(engine, source.id) == before


async def test_configuration_reaches_the_model(world: World, provider: ScriptedProvider):
    engine = await _process(world)
    source = await _source(engine, provider)
    request = await _asked(
        engine,
        provider,
        (await _checkpoints(engine, source.id))[1],
        system_prompt="Be bad.",
        model="m2",
        temperature=1.5,
        max_tokens=77,
        tools=["look"],
    )
    assert request.messages[0].content == "Be bad."
    assert (request.model, request.temperature, request.max_tokens) == ("m2", 1.5, 77)
    assert [schema.name for schema in request.tools] == ["look"]
    plain = await _asked(engine, provider, (await _checkpoints(engine, source.id))[1])
    assert (plain.messages[0].content, plain.model, plain.temperature) == ("Be good.", "m", 0.5)
    assert [schema.name for schema in plain.tools] == ["add"]


async def test_the_tools_can_be_taken_away_and_a_prompt_removed(world: World, provider: ScriptedProvider):
    engine = await _process(world)
    source = await _source(engine, provider)
    request = await _asked(
        engine, provider, (await _checkpoints(engine, source.id))[1], tools=[], system_prompt=None, temperature=None
    )
    assert request.tools == [] or request.tools == ()
    assert request.messages[0].role == "user"
    assert request.temperature is None


async def test_another_question(world: World, provider: ScriptedProvider):
    engine = await _process(world)
    source = await _source(engine, provider)
    for checkpoint_id in await _checkpoints(engine, source.id):
        request = await _asked(engine, provider, checkpoint_id, modified_query="how much is 3 + 4?")
        assert [(m.role, m.content) for m in request.messages] == [
            ("system", "Be good."),
            ("user", "how much is 3 + 4?"),
        ]


async def test_another_question_in_a_later_turn_keeps_the_earlier_ones(world: World, provider: ScriptedProvider):
    provider.add("one", "two")
    engine = await _process(world)
    await read(engine, (await start(engine, "first", session_id="s")).id)
    second = await start(engine, "second", session_id="s")
    await read(engine, second.id)
    request = await _asked(
        engine, provider, (await _checkpoints(engine, second.id))[-1], modified_query=[{"type": "text", "text": "2nd"}]
    )
    said = [m.content for m in request.messages if m.role != "system"]
    assert said == ["first", "one", [{"type": "text", "text": "2nd"}]]


@pytest.mark.parametrize("way", ["index", "negative", "message_id", "whole list"])
async def test_edited_messages_reach_the_model(world: World, provider: ScriptedProvider, way: str):
    engine = await _process(world)
    source = await _source(engine, provider)
    messages = await engine.reading.messages(ANN, source.id)
    edits: dict[str, list[dict[str, Any]]] = {
        "index": [{"index": 0, "content": "how much is 1 + 5?"}, {"index": 2, "content": "6"}],
        "negative": [{"index": -3, "content": "how much is 1 + 5?"}, {"index": -1, "content": "6"}],
        "message_id": [
            {"message_id": messages[0].id, "content": "how much is 1 + 5?"},
            {"message_id": messages[2].id, "content": "6"},
        ],
        "whole list": [
            {"role": "user", "content": "how much is 1 + 5?"},
            {"role": "assistant", "content": messages[1].content},
            {"role": "tool", "content": "6"},
        ],
    }
    before = await dump(engine, source.id)
    checkpoint_id = (await _checkpoints(engine, source.id))[1]
    request = await _asked(engine, provider, checkpoint_id, modified_messages=edits[way])
    said = [(m.role, m.content) for m in request.messages[1:]]
    assert said == [("user", "how much is 1 + 5?"), ("assistant", "I add. "), ("tool", "6")]
    assert await dump(engine, source.id) == before
    assert [m.content for m in (await engine.reading.messages(ANN, source.id))[:1]] == ["how much is 1 + 2?"]


async def test_a_shorter_list_of_messages_drops_the_rest(world: World, provider: ScriptedProvider):
    engine = await _process(world)
    source = await _source(engine, provider)
    only = [{"role": "user", "content": "just hello"}]
    request = await _asked(engine, provider, (await _checkpoints(engine, source.id))[-1], modified_messages=only)
    assert [m.content for m in request.messages[1:]] == ["just hello"]


async def test_another_tool_result_reaches_the_model(world: World, provider: ScriptedProvider):
    engine = await _process(world)
    source = await _source(engine, provider)
    before = list(calls_of_add)
    request = await _asked(
        engine, provider, (await _checkpoints(engine, source.id))[1], tool_results={"c-completed": "about 3"}
    )
    assert request.messages[-1].content == "about 3"
    assert calls_of_add == before


@pytest.mark.parametrize("given", [True, False], ids=["given", "called"])
async def test_a_call_that_the_fork_leaves_open_is_answered(world: World, provider: ScriptedProvider, given: bool):
    engine = await _process(world)
    source = await _source(engine, provider)
    before = len(calls_of_add)
    changes: dict[str, Any] = {
        "modified_messages": [
            {"role": "user", "content": "how much is 1 + 2?"},
            {"role": "assistant", "content": "I add. "},
        ]
    }
    if given:
        changes["tool_results"] = {"c-completed": "given"}
    request = await _asked(engine, provider, (await _checkpoints(engine, source.id))[1], **changes)
    assert [m.role for m in request.messages] == ["system", "user", "assistant", "tool"]
    assert request.messages[-1].content == ("given" if given else "3")
    assert len(calls_of_add) == before + (not given)


@pytest.mark.parametrize(
    ("modifications", "field"),
    [
        ({"colour": "red"}, "modifications.colour"),
        ({"modified_messages": [{"index": 99, "content": "x"}]}, "modifications.modified_messages.0"),
        ({"modified_messages": [{"index": -99, "content": "x"}]}, "modifications.modified_messages.0"),
        ({"modified_messages": [{"message_id": "none", "content": "x"}]}, "modifications.modified_messages.0"),
        ({"modified_messages": [{"role": "user", "content": "x"}] * 9}, "modifications.modified_messages"),
        ({"tool_results": {"none": "x"}}, "modifications.tool_results.none"),
        ({"tools": ["none"]}, "modifications.tools"),
        ({"provider": "unknown"}, "modifications.provider"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_makes_no_sense_is_refused_and_nothing_is_made(
    world: World, provider: ScriptedProvider, modifications: dict[str, Any], field: str
):
    engine = await _process(world)
    source = await _source(engine, provider, session_id="s")
    before = await dump(engine, source.id)
    for begin in (engine.continuing.branch_off, engine.continuing.rewind):
        wish = ForkRequest(
            checkpoint_id=(await _checkpoints(engine, source.id))[1], kind="fork", modifications=modifications
        )
        with pytest.raises(Invalid) as refused:
            await begin(ANN, wish)
        assert refused.value.field == field
    assert await dump(engine, source.id) == before
    assert (await engine.store.find(BRANCHES, "default", {"session_id": "s"})).total == 1
    with pytest.raises(NotFound):
        await _fork(engine, f"{source.id}.999")


async def test_a_fork_of_a_fork_of_a_fork(world: World, provider: ScriptedProvider):
    engine = await _process(world)
    source = await _source(engine, provider)
    first = await _fork(
        engine,
        (await _checkpoints(engine, source.id))[1],
        start=False,
        modifications={"modified_messages": [{"index": 0, "content": "first edit"}]},
    )
    await settled(engine, first.id, RunStatus.PAUSED)
    provider.add(Answer("again ", calls=[Call("add", {"a": 5, "b": 5}, id="c-deep")]), "the first fork's end")
    await engine.commands.resume(ANN, first.id, ResumeRequest())
    await read(engine, first.id)
    at = (await _checkpoints(engine, first.id))[1]
    provider.add("the second fork's end")
    second = await _fork(engine, at, modifications={"tool_results": {"c-deep": "ten"}})
    await read(engine, second.id)
    request = await _asked(
        engine,
        provider,
        (await _checkpoints(engine, second.id))[0],
        modified_messages=[{"index": 2, "content": "three"}],
        system_prompt="Third.",
    )
    assert [(m.role, m.content) for m in request.messages] == [
        ("system", "Third."),
        ("user", "first edit"),
        ("assistant", "I add. "),
        ("tool", "three"),
        ("assistant", "again "),
        ("tool", "ten"),
    ]
    assert [m.content for m in (await engine.reading.messages(ANN, source.id))[:3]] == [
        "how much is 1 + 2?",
        "I add. ",
        "3",
    ]
    assert [m.content for m in await engine.reading.messages(ANN, first.id)] == [
        "first edit",
        "I add. ",
        "3",
        "again ",
        "10",
        "the first fork's end",
    ]


async def test_five_variants_at_once_do_not_touch_each_other(world: World, provider: ScriptedProvider):
    engine = await _process(world)
    source = await _source(engine, provider)
    before = await dump(engine, source.id)
    provider._default = lambda request: f"{request.messages[0].content} says {request.temperature}"
    checkpoint_id = (await _checkpoints(engine, source.id))[1]
    variants = [{"system_prompt": f"v{n}", "temperature": n / 10} for n in range(5)]
    runs = await asyncio.gather(*(_fork(engine, checkpoint_id, modifications=one) for one in variants))
    ends = [(await read(engine, run.id))[-1] for run in runs]
    assert [end["response"] for end in ends] == [f"v{n} says {n / 10}" for n in range(5)]
    assert len({run.branch_id for run in runs}) == 5
    for number, run in enumerate(runs):
        messages = await engine.reading.messages(ANN, run.id)
        assert messages[-1].content == f"v{number} says {number / 10}"
        assert len(messages) == 4
    assert await dump(engine, source.id) == before


async def test_a_fork_may_live_in_a_session_of_its_own(world: World, provider: ScriptedProvider):
    provider.add("one")
    engine = await _process(world)
    source = await start(engine, "first", session_id="s", user_id="u")
    await read(engine, source.id)
    provider.add("aside", "and on", "still here")
    run = await _fork(
        engine, (await _checkpoints(engine, source.id))[-1], session="new", modifications={"modified_query": "second"}
    )
    await read(engine, run.id)
    assert run.session_id != "s"
    made = await engine.store.get(SESSIONS, "default", run.session_id)
    assert (made.user_id, made.current_branch_id) == ("u", run.branch_id)
    await read(engine, (await start(engine, "third", session_id=run.session_id)).id)
    await read(engine, (await start(engine, "mine", session_id="s")).id)
    said = [[m.content for m in request.messages[1:]] for request in provider.requests[1:]]
    assert said == [["second"], ["second", "aside", "third"], ["first", "one", "mine"]]


async def test_the_next_message_goes_to_a_restored_line_but_not_to_a_fork(world: World, provider: ScriptedProvider):
    provider._default = lambda request: f"answer {len(request.messages)}"
    engine = await _process(world)
    source = await start(engine, "first", session_id="s")
    await read(engine, source.id)
    final = (await _checkpoints(engine, source.id))[-1]
    fork = await _fork(engine, final, modifications={"modified_query": "forked"})
    await read(engine, fork.id)
    turn = await start(engine, "second", session_id="s")
    await read(engine, turn.id)
    assert [m.content for m in provider.requests[-1].messages[1:]] == ["first", "answer 2", "second"]
    restored = await _fork(engine, final, kind="restore", modifications={"modified_query": "restored"})
    await read(engine, restored.id)
    turn = await start(engine, "third", session_id="s")
    await read(engine, turn.id)
    assert [m.content for m in provider.requests[-1].messages[1:]] == ["restored", "answer 2", "third"]
    on_fork = await start(engine, "to the fork", session_id="s", branch_id=fork.branch_id)
    await read(engine, on_fork.id)
    assert [m.content for m in provider.requests[-1].messages[1:]] == ["forked", "answer 2", "to the fork"]


@pytest.mark.parametrize("kind", ["fork", "restore"])
async def test_from_the_end_the_answer_is_made_anew(world: World, provider: ScriptedProvider, kind: Any):
    engine = await _process(world)
    source = await _source(engine, provider)
    provider.add("a better answer")
    final = (await _checkpoints(engine, source.id))[-1]
    run = await _fork(engine, final, kind=kind)
    await read(engine, run.id)
    assert [m.role for m in provider.requests[-1].messages] == ["system", "user", "assistant", "tool"]
    messages = await engine.reading.messages(ANN, run.id)
    assert [m.content for m in messages][-1] == "a better answer"
    assert SECRET not in str(messages)
    assert (run.base_step, (await settled(engine, run.id, RunStatus.COMPLETED)).step) == (1, 2)


async def test_a_fork_that_shall_not_start_rests_until_it_is_resumed(world: World, provider: ScriptedProvider):
    engine = await _process(world)
    source = await _source(engine, provider)
    run = await _fork(engine, (await _checkpoints(engine, source.id))[1], start=False, run_id="my-fork")
    paused = await settled(engine, "my-fork", RunStatus.PAUSED)
    assert (run.id, paused.reason) == ("my-fork", "not_started")
    assert provider.calls == 2
    with pytest.raises(AlreadyExists):
        await _fork(engine, (await _checkpoints(engine, source.id))[1], run_id="my-fork")
    with pytest.raises(Invalid):
        await _fork(engine, (await _checkpoints(engine, source.id))[1], run_id="no spaces please")
    provider.add("now")
    await engine.commands.resume(BOB, "my-fork", ResumeRequest())
    events = await read(engine, "my-fork")
    check_sequence(events)
    assert events[-1]["response"] == "now"


async def test_a_fork_works_when_its_agent_is_gone_and_keeps_the_rules_of_its_source(
    world: World, provider: ScriptedProvider
):
    engine = await _process(world)
    source = await _source(engine, provider, budget=Budget(max_total_tokens=10_000), force_final_answer=False)
    bare = await world.add_process(tools=[add, look], agents=[], worker=False)
    provider.add("as ever")
    run = await _fork(bare, (await _checkpoints(bare, source.id))[1], modifications={"metadata": {"why": "test"}})
    await read(engine, run.id)
    assert provider.requests[-1].messages[0].content == "Be good."
    spec = await engine.store.get_spec("default", run.id)
    assert (spec.budget, spec.force_final_answer) == (Budget(max_total_tokens=10_000), False)
    assert spec.modifications == {"metadata": {"why": "test"}}
    assert run.metadata == {"why": "test"}


async def test_a_running_run_can_be_forked(world: World, provider: ScriptedProvider):
    provider.add(Answer("I add. ", calls=[Call("add", {"a": 1, "b": 2})]), Answer(SECRET, Silence()), "the fork")
    engine = await _process(world)
    source = await start(engine, "how much?")
    await _until_secret(engine, source.id)
    run = await _fork(engine, (await _checkpoints(engine, source.id))[-1])
    events = await read(engine, run.id)
    assert events[-1]["response"] == "the fork"
    assert SECRET not in str(provider.requests[-1])
    assert (await engine.store.get_run("default", source.id)).status is RunStatus.RUNNING


async def test_a_fork_survives_an_answer_that_got_lost(world: World, provider: ScriptedProvider):
    """The creation happened, its answer did not come: asking again with the same run id tells so."""
    engine = await _process(world)
    source = await _source(engine, provider)
    checkpoint_id = (await _checkpoints(engine, source.id))[1]
    provider.add("once")
    faults(engine).on("create_run", Away(1, applied=True))
    with pytest.raises(Exception, match="away"):
        await _fork(engine, checkpoint_id, run_id="f1")
    with pytest.raises(AlreadyExists):
        await _fork(engine, checkpoint_id, run_id="f1")
    events = await read(engine, "f1")
    check_sequence(events)
    assert types(events)[-1] == "run_completed"
    assert provider.calls == 3
