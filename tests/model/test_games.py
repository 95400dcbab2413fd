"""Games of moves that Hypothesis chooses, and those that were lost once."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from agio.storage.mongo import MongoStore
from agio.storage.port import Store, StoreSettings
from agio.storage.sqlite import SQLiteStore
from tests.model.machine import Moves
from tests.model.play import Field, games_on

MEMORY = Path("/dev/shm")
"""Where a commit need not wait for a disk: what is played is the order of things, not their durability."""
GAMES = {"sqlite": 60, "mongodb": 12}
BACKENDS = ["sqlite", pytest.param("mongodb", marks=pytest.mark.mongo)]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def field(backend: str, request: pytest.FixtureRequest) -> Iterator[Field]:
    uri = request.getfixturevalue("mongo_uri") if backend == "mongodb" else ""
    count = 0
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder, asyncio.Runner() as runner:

        async def open_store() -> Store:
            nonlocal count
            count += 1
            if uri:
                return MongoStore(StoreSettings(url=uri))
            return SQLiteStore(StoreSettings(url=f"sqlite:///{folder}/{count}.db"))

        played_on = Field(runner, open_store)
        try:
            yield played_on
        finally:
            played_on.leave()


@pytest.mark.slow
def test_games_go_as_they_ought(field: Field, backend: str):
    run_state_machine_as_test(
        games_on(field),
        settings=settings(
            max_examples=GAMES[backend],
            stateful_step_count=20,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


LOST: dict[str, list[tuple[Any, ...]]] = {
    "a run that waits its turn is cancelled while the one before it calls a tool": [
        ("start", "calc", 0),
        ("work", 0, 2),
        ("start", "", 0),
        ("cancel", 2),
        ("claim", 0),
    ],
    "words that could not be said yet, and a worker that drains": [
        ("start", "ask,calc", 0),
        ("work", 0, 2),
        ("resume", 0, "calc", None),
        ("claim", 0),
        ("decide", 0, True),
        ("work", 0, 0),
        ("drain", 0, "safe"),
        ("advance", 0),
        ("advance", 0),
    ],
    "a run that was interrupted in a tool goes on elsewhere, another one follows it": [
        ("start", "calc", 0),
        ("work", 0, 3),
        ("start", "", 0),
        ("crash", 0),
        ("take_over", 0),
        ("crash", 0),
        ("take_over", 0),
        ("crash", 0),
        ("take_over", 0),
        ("rewind", 0, 0, None),
    ],
    "an attempt that never began is made again": [
        ("start", "calc", 0),
        ("work", 0, 9),
        ("rewind", 0, 0, "act"),
        ("crash_claiming", 0, False),
        ("take_over", 0),
        ("crash", 0),
        ("take_over", 0),
        ("crash", 0),
        ("take_over", 0),
        ("retry", 0),
    ],
    "an earlier attempt's call has the id of one that waits for an approval when its worker dies": [
        ("start", "act", 0),
        ("work", 0, 9),
        ("rewind", 0, 0, "ask"),
        ("work", 0, 2),
        ("pause", 0, "now"),
        ("crash_claiming", 0, False),
    ],
    "a worker drains in a call that was allowed once more, with words still to be said": [
        ("start", "act", 0),
        ("work", 0, 3),
        ("crash", 0),
        ("work", 0, 1),
        ("resume", 0, "calc,act", "again"),
        ("claim", 0),
        ("drain", 0, "now"),
    ],
}


@pytest.mark.parametrize("name", LOST)
def test_lost_games_are_won_now(field: Field, name: str):
    moves = Moves(field.enter())
    field.run(moves.begin())
    for move, *how in LOST[name]:
        field.run(getattr(moves, move)(*how))
    field.run(moves.finish())
