"""No statement walks through a whole table, however many runs there are."""

import re
from collections.abc import AsyncIterator

import pytest

from agio.domain.ids import checkpoint_id
from agio.domain.runs import RunFilter
from agio.domain.status import RunStatus
from agio.storage.port import AGENTS, BRANCHES, REQUESTS, WorkerLimits
from agio.storage.sqlite import SQLiteStore, database
from agio.testing.conformance.records import claim_one, make_approval, make_branch, make_creation, make_message, start
from tests.unit.storage_sqlite.conftest import OpenStore

WALK = re.compile(r"SCAN (runs|journal|approvals|chunks|specs|branches|sessions|r|j|b|h|w)\b(?!.*USING)")


@pytest.fixture
async def traced(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[SQLiteStore, list[str]]]:
    """A store, and all statements that it executes from now on."""
    monkeypatch.setattr(database, "READERS", 1)
    store = await open_store()
    statements: list[str] = []
    await store._database.read(lambda c: c.set_trace_callback(statements.append))
    await store._database.write(lambda c: c.set_trace_callback(statements.append))
    yield store, statements
    await store._database.read(lambda c: c.set_trace_callback(None))
    await store._database.write(lambda c: c.set_trace_callback(None))


async def _use(store: SQLiteStore) -> None:
    owner = await start(store, "g")
    run = owner.run
    await store.create_run(make_creation("g", at_s=1))
    approval = make_approval(run)
    await owner.append(messages=(make_message("x"),), checkpoint="step", approvals=(approval,))
    await store.update_approval("g", approval.id, lambda found: found)
    await store.annotate_checkpoint("g", checkpoint_id(run.id, owner.head), label="x", tags=())
    await store.insert(BRANCHES, make_branch("g", run.session_id))
    await store.update(BRANCHES, "g", run.branch_id, lambda found: make_branch("g", run.session_id, id=found.id))
    await owner.end()
    await claim_one(store, "worker", WorkerLimits(runs_per_group=3))
    await store.claim_abandoned("other", 10, limit=9)
    await store.sweep()
    await store.prune(REQUESTS, run.created_at)
    await _read(store, run.id, run.branch_id, run.session_id)
    await store.delete_run("g", run.id)


async def _read(store: SQLiteStore, run_id: str, branch_id: str, session_id: str) -> None:
    for where in (
        RunFilter(),
        RunFilter(statuses=frozenset({RunStatus.QUEUED, RunStatus.RUNNING})),
        RunFilter(agent_id="a"),
        RunFilter(session_id=session_id),
        RunFilter(branch_id=branch_id),
        RunFilter(parent_run_id=run_id),
        RunFilter(tag="t", text="x"),
    ):
        page = await store.list_runs("g", where, limit=1)
        await store.list_runs("g", where, limit=1, cursor=page.next_cursor)
    await store.get_spec("g", run_id)
    await store.head("g", run_id)
    await store.heads([run_id])
    await store.read_entries("g", run_id, after=1)
    await store.read_messages("g", branch_id)
    await store.branch_end("g", branch_id)
    await store.list_checkpoints("g", run_id, limit=3)
    await store.session_checkpoints("g", session_id)
    await store.last_checkpoint("g", run_id)
    await store.dependents("g", run_id)
    await store.list_approvals("g", status="pending", run_id=run_id)
    await store.commands("worker")
    await store.owned("worker")
    await store.find(AGENTS, "g", {"enabled": True})
    await store.find(BRANCHES, "g", {"session_id": session_id})


async def _plan(store: SQLiteStore, statement: str) -> list[str]:
    rows = await store._database.read(lambda c: c.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall())
    return [step for *_, step in rows]


async def test_no_statement_walks_through_a_table(traced: tuple[SQLiteStore, list[str]]):
    store, statements = traced
    await _use(store)
    used = {s for s in statements if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)", s)}
    assert len(used) > 50
    walks = []
    for statement in used:
        walks += [f"{step}: {statement}" for step in await _plan(store, statement) if WALK.search(step)]
    assert not walks, "\n".join(walks)
