"""Many runs in one event stream."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from agio.api.native import multiplex
from agio.engine.caller import Caller
from agio.engine.starting import StartRequest
from agio.testing.provider import Answer, Gate, ScriptedProvider, Silence
from tests.api.serving import Api, Frame, frames, listening, serving


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path) as served:
        yield served


@pytest.fixture
async def live(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with listening(api) as client:
        yield client


@asynccontextmanager
async def following(client: httpx.AsyncClient, query: str, **headers: str) -> AsyncIterator[AsyncIterator[Frame]]:
    """Open a stream; what comes is read by `take`."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.stream("GET", f"/api/events?{query}", headers=sent) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield frames(answer.aiter_lines())


async def take(stream: AsyncIterator[Frame], until: Callable[[list[Frame]], bool]) -> list[Frame]:
    """Read until what came is enough."""
    found: list[Frame] = []
    async with asyncio.timeout(10):
        async for frame in stream:
            found.append(frame)
            if until(found):
                return found
    raise AssertionError("the stream ended by itself")


def ends(number: int) -> Callable[[list[Frame]], bool]:
    return lambda found: sum(frame.event == "run_completed" for frame in found) == number


def by_run(found: list[Frame]) -> dict[str, list[int]]:
    seqs: dict[str, list[int]] = {}
    for frame in found:
        assert frame.id == f"{frame.data['run_id']}/{frame.data['seq']}"
        assert frame.data["type"] == frame.event
        seqs.setdefault(frame.data["run_id"], []).append(frame.data["seq"])
    return seqs


async def last_seq(api: Api, run_id: str) -> int:
    view = await api.call("GET", f"/runs/{run_id}")
    return int(view["last_seq"])


async def test_named_runs_are_replayed_whole(api: Api, live: httpx.AsyncClient):
    runs = [(await api.chat())["run_id"] for _ in range(3)]
    heads = {run_id: await last_seq(api, run_id) for run_id in runs[:2]}
    async with following(live, f"runs={runs[0]},{runs[1]},{runs[0]}") as stream:
        found = by_run(await take(stream, ends(2)))
    assert found == {run_id: list(range(1, head + 1)) for run_id, head in heads.items()}


async def test_the_stream_stays_open_and_tells_of_a_new_attempt(api: Api, live: httpx.AsyncClient):
    run = await api.chat()
    [first, *_] = await api.checkpoints(run["run_id"])
    async with following(live, f"runs={run['run_id']}") as stream:
        await take(stream, ends(1))
        await api.call("POST", f"/checkpoints/{first['id']}/restore", {"create_new_run": False}, expect=201)
        again = await take(stream, ends(1))
    assert again[0].event == "run_restored"


async def test_after_leaves_out_what_the_client_has(api: Api, live: httpx.AsyncClient):
    one, two = [(await api.chat())["run_id"] for _ in range(2)]
    head = await last_seq(api, one)
    async with following(live, f"runs={one},{two}&after={one}:{head - 1},{two}:3") as stream:
        found = by_run(await take(stream, ends(2)))
    assert found == {one: [head], two: list(range(4, await last_seq(api, two) + 1))}


async def test_a_session_brings_its_runs_and_those_to_come(api: Api, live: httpx.AsyncClient):
    first = await api.chat(session_id="s1")
    await api.chat(session_id="s2")
    async with following(live, "session_id=s1") as stream:
        assert by_run(await take(stream, ends(1))).keys() == {first["run_id"]}
        await api.chat(session_id="s2")
        second = await api.chat(session_id="s1")
        assert by_run(await take(stream, ends(1))) == {
            second["run_id"]: list(range(1, await last_seq(api, second["run_id"]) + 1))
        }


async def test_everything_begins_at_the_present(api: Api, live: httpx.AsyncClient):
    await api.chat("before")
    async with following(live, "all=true") as stream:
        after = await api.chat("after")
        found = by_run(await take(stream, ends(1)))
    assert found == {after["run_id"]: list(range(1, await last_seq(api, after["run_id"]) + 1))}


async def test_a_run_from_before_that_goes_on_brings_only_what_is_new(
    api: Api, live: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(multiplex, "NEWEST", 1)
    monkeypatch.setattr(multiplex, "OVERLAP", timedelta(0))
    old = await api.chat("old")
    await api.chat("newer")
    [first, *_] = await api.checkpoints(old["run_id"])
    async with following(live, "all=true") as stream:
        await api.call("POST", f"/checkpoints/{first['id']}/restore", {"create_new_run": False}, expect=201)
        found = await take(stream, ends(1))
    assert found[0].event == "run_restored"
    assert by_run(found).keys() == {old["run_id"]}


async def test_other_groups_runs_are_not_told_of(api: Api, live: httpx.AsyncClient):
    bob = Caller("bob", "elsewhere")
    async with following(live, "all=true") as stream:
        theirs = await api.engine.starting.start(bob, StartRequest(agent_id="writer", message="x"))
        async for _ in api.engine.tail(bob, theirs.id):
            pass
        mine = await api.chat()
        assert by_run(await take(stream, ends(1))).keys() == {mine["run_id"]}
    await api.call("GET", f"/events?runs={theirs.id}", expect=404)
    await api.call("GET", f"/events?session_id={theirs.session_id}", expect=404)
    await api.call("GET", f"/events?all=true&after={theirs.id}:1", expect=400)
    await api.call("GET", "/events?all=true", expect=400, Last_Event_ID=f"{theirs.id}/1")


@pytest.mark.parametrize("query", ["all=true", "session_id=s1", "runs={one},{two}"])
async def test_a_reconnect_reads_on_and_repeats_the_others_last_seconds(api: Api, live: httpx.AsyncClient, query: str):
    one, two = [(await api.chat(session_id="s1"))["run_id"] for _ in range(2)]
    head = await last_seq(api, two)
    async with following(live, query.format(one=one, two=two), Last_Event_ID=f"{two}/{head - 1}") as stream:
        found = by_run(await take(stream, ends(2)))
    assert found == {one: list(range(1, await last_seq(api, one) + 1)), two: [head]}


async def test_a_reconnect_does_not_repeat_what_is_long_past(
    api: Api, live: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    old = (await api.chat())["run_id"]
    await asyncio.sleep(0.05)  # the instants of two runs must differ
    new = (await api.chat())["run_id"]
    monkeypatch.setattr(multiplex, "OVERLAP", timedelta(seconds=0.02))
    head = await last_seq(api, new)
    async with following(live, f"runs={old},{new}", Last_Event_ID=f"{new}/1") as stream:
        assert by_run(await take(stream, ends(1))) == {new: list(range(2, head + 1))}


async def test_a_reconnect_finds_its_place_in_a_run_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(multiplex, "OVERLAP", timedelta(seconds=0.02))
    held = Gate()
    script = ScriptedProvider([Answer("a", "b", "c", held, "d"), "short", "done"], default="done")
    async with serving(tmp_path, script) as api, listening(api) as client:
        long = (await api.start())["id"]
        async with following(client, f"runs={long}") as stream:
            await take(stream, lambda found: found[-1].data.get("content") == "c")
        await asyncio.sleep(0.1)  # the instants of what came before and after must differ
        short = (await api.chat())["run_id"]
        shown = await last_seq(api, long)
        async with following(client, f"runs={long},{short}", Last_Event_ID=f"{short}/1") as stream:
            await take(stream, ends(1))
            held.open()
            rest = by_run(await take(stream, ends(1)))
        assert rest == {long: list(range(shown + 1, await last_seq(api, long) + 1))}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 422),
        ("all=false", 422),
        ("runs=", 422),
        ("runs={run}&all=true", 422),
        ("runs={run}&session_id=s1", 422),
        ("runs={run},none", 404),
        ("runs=a%00b", 422),
        ("session_id=none", 404),
        ("all=maybe", 422),
        ("runs={run}&after=nonsense", 422),
        ("runs={run}&after={run}:-1", 422),
        ("runs={run}&after={run}:99999", 400),
        ("runs={run}&after=none:1", 400),
        ("all=true&after=none:1", 400),
        ("session_id=s1&after=none:1", 400),
    ],
)
async def test_made_up_selections_are_refused(api: Api, query: str, status: int):
    run = await api.chat(session_id="s1")
    await api.call("GET", f"/events?{query.format(run=run['run_id'])}", expect=status)


@pytest.mark.parametrize(
    "made_up", ["nonsense", "5", "/", "none/1", "{run}/99999", "{run}/-1", "{run}/0", "{run}/x", "{run}/" + "9" * 30]
)
@pytest.mark.parametrize("query", ["all=true", "session_id=s1", "runs={run}"])
async def test_made_up_event_ids_are_400(api: Api, made_up: str, query: str):
    run = await api.chat(session_id="s1")
    event_id = made_up.format(run=run["run_id"])
    answer = await api.call("GET", f"/events?{query.format(run=run['run_id'])}", expect=400, Last_Event_ID=event_id)
    assert answer["errors"][0]["field"] == "Last-Event-ID"


async def test_a_run_that_is_not_detached_ends_with_its_last_reader(tmp_path: Path):
    script = ScriptedProvider([Answer("so far", Silence())])
    async with serving(tmp_path, script) as api, listening(api) as client:
        run = await api.start(detached=False)
        async with following(client, f"runs={run['id']}") as stream:
            await take(stream, lambda found: found[-1].event == "content_delta")
        await api.provider.wait_until_closed()  # `until` reads too: with it, the reader that left was not the last
        await api.until(run["id"], "cancelled")


async def test_a_reader_of_one_session_asks_once_per_run_of_another(api: Api, monkeypatch: pytest.MonkeyPatch):
    counts: dict[str, int] = {}

    def count(name: str) -> None:
        plain = getattr(api.engine.store, name)

        async def counted(*given: Any, **named: Any) -> Any:
            counts[name] = counts.get(name, 0) + 1
            return await plain(*given, **named)

        monkeypatch.setattr(api.engine.store, name, counted)

    async with listening(api) as client:
        await api.chat("first", session_id="mine")
        async with following(client, "session_id=mine") as stream:
            before = await take(stream, ends(1))
            count("list_runs")
            for number in range(3):
                await api.chat("noise", session_id=f"other-{number}")
            noise = dict(counts)
            await api.chat("second", session_id="mine")
            after = await take(stream, ends(1))
    assert noise == {}
    assert counts["list_runs"] >= 1
    assert len(by_run(before + after)) == 2
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in by_run(before + after).values())
