"""Work that keeps the database small, in small pieces: each generator yields after every one of them.

Not responsible for when and how fast it is done; see `caretaker`.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from agio.domain import control
from agio.domain.branches import Branch
from agio.domain.compaction import Compactor, settled_epochs
from agio.domain.errors import AlreadyExists, NotFound
from agio.domain.runs import Run, RunFilter
from agio.domain.sessions import Session
from agio.domain.status import RunStatus
from agio.engine.clock import utc_now
from agio.storage.port import BRANCHES, SESSIONS, Store

log = logging.getLogger(__name__)

ENTRIES = 500
"""Journal entries read and rewritten at a time."""
RUNS = 20
"""Runs looked at at a time."""
CONTENTS = 200
"""Stored contents looked at at a time."""
BRANCH_IS_YOUNG = timedelta(hours=1)
"""A branch without runs may still get its first one."""
GRACE_S = 2.0
"""Between taking a session's branches away and looking for a run that was accepted at that moment."""


async def compact_runs(store: Store, before: datetime) -> AsyncGenerator[int, None]:
    """Compact the runs that ended before; yield how many were finished since the last time."""
    behind: Run | None = None
    while runs := await store.uncompacted_runs(before=before, limit=RUNS, behind=behind):
        for run in runs:
            async for _ in _compact(store, run):
                yield 0
            yield 1
        behind = runs[-1]


async def _compact(store: Store, run: Run) -> AsyncGenerator[None, None]:
    """Compact what the run had when it was found ended: a new attempt may write behind that meanwhile."""
    compactor = Compactor(settled_epochs(await _epochs(store, run), run.epoch))
    seq = 0
    while seq < run.last_seq:
        entries = await store.read_entries(run.group_id, run.id, after=seq, limit=ENTRIES)
        if not entries:
            break
        seq = entries[-1].last_seq
        made = [one for entry in entries if entry.last_seq <= run.last_seq for one in compactor.feed(entry)]
        if made:
            await store.rewrite_entries(made)
        yield
    if made := list(compactor.finish()):
        await store.rewrite_entries(made)
    with suppress(NotFound):  # deleted meanwhile
        await store.update_run(
            run.group_id, run.id, lambda record: control.note_compaction(record, through=run.last_seq)
        )


async def _epochs(store: Store, run: Run) -> Collection[int]:
    """Return the epochs that have entries."""
    if run.epoch <= 1:  # as of nearly every run: accepted, claimed, ended
        return {0, run.epoch}
    found: set[int] = set()
    seq = 0
    while entries := await store.read_entries(run.group_id, run.id, after=seq, limit=ENTRIES):
        found |= {entry.epoch for entry in entries}
        seq = entries[-1].last_seq
    return found


async def delete_expired(store: Store, status: RunStatus, before: datetime) -> AsyncGenerator[int, None]:
    """Delete the runs that ended with the status before, but for those that others need; yield how many were.

    Those that ended last come first, so that a run goes in the same pass as what needed it. Sessions and branches
    that are left without a run go too.
    """
    behind: Run | None = None
    while runs := await store.ended_runs(status, before=before, limit=RUNS, behind=behind):
        deleted = []
        for run in runs:
            if await store.delete_unneeded(run.group_id, run.id, ended_before=before):
                deleted.append(run)
        await _tidy(store, deleted, before)
        yield len(deleted)
        behind = runs[-1]


async def _tidy(store: Store, deleted: Iterable[Run], before: datetime) -> None:
    """Delete what belonged to deleted runs alone."""
    emptied: list[tuple[Session, list[Branch]]] = []
    for group_id, session_id in dict.fromkeys((run.group_id, run.session_id) for run in deleted):
        branches = (await store.find(BRANCHES, group_id, {"session_id": session_id})).items
        try:
            session = await store.get(SESSIONS, group_id, session_id)
        except NotFound:
            continue
        if await _has_runs(store, group_id, RunFilter(session_id=session_id)):
            await _delete_bare(store, session, branches)
        elif session.updated_at < before and not await _has_heirs(store, session, branches):
            for branch in reversed(branches):
                await _delete(store, branch)
            emptied.append((session, branches))
    if emptied:
        await asyncio.sleep(GRACE_S)
    for session, branches in emptied:
        if not await _has_runs(store, session.group_id, RunFilter(session_id=session.id)):
            with suppress(NotFound):
                await store.delete(SESSIONS, session.group_id, session.id)
            continue
        for branch in branches:  # a message came in at that moment
            with suppress(AlreadyExists):
                await store.insert(BRANCHES, branch)


async def _delete_bare(store: Store, session: Session, branches: Collection[Branch]) -> None:
    """Delete the branches of a session that nothing is on or leaves from."""
    oldest = utc_now() - BRANCH_IS_YOUNG
    for branch in branches:
        if branch.id == session.current_branch_id or branch.parent_id is None or branch.created_at > oldest:
            continue
        children = await store.find(BRANCHES, session.group_id, {"parent_id": branch.id}, limit=1)
        if not children.total and not await _has_runs(store, session.group_id, RunFilter(branch_id=branch.id)):
            await _delete(store, branch)


async def _has_runs(store: Store, group_id: str, where: RunFilter) -> bool:
    return bool((await store.list_runs(group_id, where, limit=1)).items)


async def _has_heirs(store: Store, session: Session, branches: Collection[Branch]) -> bool:
    """Say whether a branch of another session leaves one of these."""
    for branch in branches:
        children = await store.find(BRANCHES, session.group_id, {"parent_id": branch.id})
        if any(child.session_id != session.id for child in children.items):
            return True
    return False


async def _delete(store: Store, branch: Branch) -> None:
    with suppress(NotFound):
        await store.delete(BRANCHES, branch.group_id, branch.id)


async def collect_garbage(store: Store) -> AsyncGenerator[int, None]:
    """Delete stored contents that nobody refers to; yield how many were found."""
    cursor: str | None = None
    while True:
        found = await store.collect(limit=CONTENTS, cursor=cursor)
        yield found.count
        cursor = found.next_cursor
        if cursor is None:
            return


async def count_uncompacted(store: Store, before: datetime) -> int:
    """Return how many runs `compact_runs` would compact."""
    count = 0
    behind: Run | None = None
    while runs := await store.uncompacted_runs(before=before, limit=CONTENTS, behind=behind):
        count += len(runs)
        behind = runs[-1]
    return count


async def count_expired(store: Store, limits: dict[RunStatus, datetime]) -> Counter[str]:
    """Return what `delete_expired` would do with runs of these statuses that ended before these instants.

    Returns:
        The number of runs by status, and under `needed` of those that would stay because others need them.
    """
    counts: Counter[str] = Counter()
    doomed: set[tuple[str, str]] = set()
    left: dict[tuple[str, str], Run] = {}
    for status, before in limits.items():
        behind: Run | None = None
        while runs := await store.ended_runs(status, before=before, limit=CONTENTS, behind=behind):
            left |= {(run.group_id, run.id): run for run in runs}
            behind = runs[-1]
    progress = True
    while progress:
        progress = False
        for key, run in list(left.items()):
            needed_by = await store.dependents(run.group_id, run.id)
            if all((run.group_id, other) in doomed for other in needed_by):
                doomed.add(key)
                del left[key]
                counts[run.status] += 1
                progress = True
    counts["needed"] = len(left)
    return counts
