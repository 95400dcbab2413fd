"""Processes that are killed while they write."""

import asyncio
import os
import random
import sqlite3
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from agio.storage.sqlite import SQLiteStore
from agio.testing.conformance.records import Owner, make_deltas
from tests.unit.storage_sqlite.conftest import OpenStore

APPENDER = Path(__file__).with_name("appender.py")
ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.faults


async def _append_until_killed(path: Path, after_s: float) -> tuple[list[str], int]:
    """Return the ids of the runs and the number of the last batch that was acknowledged."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(APPENDER), f"sqlite:///{path}", stdout=PIPE, env=environment
    )
    assert process.stdout is not None
    ids = (await process.stdout.readline()).decode().split()[1:]
    await asyncio.sleep(after_s)
    process.kill()
    lines = (await process.communicate())[0].decode().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    return ids, int(whole[-1].split()[1]) if whole else 0


async def _check(store: SQLiteStore, ids: list[str], acknowledged: int) -> None:
    heads = await store.heads(ids)
    batches = {heads[run_id] - 1 for run_id in ids}
    assert len(batches) == 1, "a batch is torn"
    (there,) = batches
    assert there >= acknowledged, "an acknowledged batch is lost"
    for n, run_id in enumerate(ids):
        entries = await store.read_entries("g", run_id, limit=100_000)
        assert [entry.first_seq for entry in entries] == list(range(1, there + 2))
        run = await store.get_run("g", run_id)
        if n % 2:
            assert run.step == there
            assert len(await store.read_messages("g", run.branch_id)) == there
            assert (await store.list_checkpoints("g", run_id)).total == there
        owner = Owner(store, run, head=there + 1)
        await owner.append(make_deltas("on we go"))


async def test_killed_process_tears_no_batch_and_loses_none(open_store: OpenStore, path: Path):
    chance = random.Random(20251)
    store = await open_store()
    for _ in range(4):
        ids, acknowledged = await _append_until_killed(path, chance.uniform(0.1, 0.4))
        await _check(store, ids, acknowledged)
    await store.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_two_processes_write_one_file_and_one_is_killed(open_store: OpenStore, path: Path):
    results = await asyncio.gather(*(_append_until_killed(path, after_s) for after_s in (0.3, 0.6)))
    store = await open_store()
    for ids, acknowledged in results:
        assert acknowledged > 0
        await _check(store, ids, acknowledged)
