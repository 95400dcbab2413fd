"""Every call of the port that writes, as something that is done once however often it is asked for."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from agio.domain import control
from agio.domain.agents import Agent
from agio.domain.approvals import decide
from agio.domain.compaction import Compactor, settled_epochs
from agio.domain.errors import AgioError, AlreadyExists, NotFound
from agio.domain.runs import Mark
from agio.domain.status import RunStatus
from agio.storage.port import AGENTS, SESSIONS, Store, WorkerLimits
from agio.testing.conformance.backend import Backend
from agio.testing.conformance.records import (
    SNAPSHOT,
    Owner,
    holder,
    instant,
    make_approval,
    make_creation,
    make_deltas,
    make_message,
    make_session,
    start,
    take,
)

LONG_AGO_S = 10_000.0
LIMITS = WorkerLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A call, and what is to be seen of it."""

    call: Callable[[], Awaitable[Any]]
    seen: Callable[[], Awaitable[Any]]
    before: Any
    """What is seen before it is done."""
    once: Any
    """What is seen once it is done, and ever after."""
    again: type[AgioError] | None = None
    """The documented answer to who asks for what is done already; None: success."""


Preparation: TypeAlias = Callable[[Store, Backend, str], Awaitable[Deed]]


async def create_run(store: Store, _: Backend, group: str) -> Deed:
    """A run with its session, its branch, its spec and its first entry."""
    wanted = make_creation(group)

    async def seen() -> Any:
        try:
            run = await store.get_run(group, wanted.run.id)
        except NotFound:
            return None
        await store.get_snapshot(group, wanted.snapshot.digest)
        entries = await store.read_entries(group, run.id)
        return run.holds_branch, await store.get_spec(group, run.id) == wanted.spec, entries == [wanted.first]

    return Deed(
        call=lambda: store.create_run(wanted), seen=seen, before=None, once=(True, True, True), again=AlreadyExists
    )


async def update_run(store: Store, _: Backend, group: str) -> Deed:
    """A command."""
    run = await store.create_run(make_creation(group))

    async def seen() -> Any:
        found = await store.get_run(group, run.id)
        return found.control_seq, found.pause is not None

    def call() -> Awaitable[Any]:
        return store.update_run(group, run.id, lambda r: control.request_pause(r, by="ann", at=instant(1)))

    return Deed(call=call, seen=seen, before=(0, False), once=(1, True))


async def delete_run(store: Store, _: Backend, group: str) -> Deed:
    """The deletion of a run that said something."""
    owner = await start(store, group)
    await owner.say("hello", approvals=(make_approval(owner.run),))
    await owner.end()

    async def seen() -> Any:
        approvals = (await store.list_approvals(group)).total
        return bool(await store.head(group, owner.run.id)), approvals

    return Deed(
        call=lambda: store.delete_run(group, owner.run.id), seen=seen, before=(True, 1), once=(False, 0), again=NotFound
    )


async def append(store: Store, _: Backend, group: str) -> Deed:
    """A step: messages, a checkpoint, an approval, and an update that takes one of two marks."""
    owner = await start(store, group)
    for label in ("first", "second"):
        mark = partial(control.request_mark, mark=Mark(by="ann", label=label), at=instant(1))
        await store.update_run(group, owner.run.id, mark)
    item = owner.write(
        messages=(make_message("a"),),
        checkpoint="step",
        approvals=(make_approval(owner.run),),
        step=1,
        marks_done=1,
    )

    async def seen() -> Any:
        run = await store.get_run(group, owner.run.id)
        entries = len(await store.read_entries(group, run.id))
        messages = len(await store.read_messages(group, run.branch_id))
        approvals = (await store.list_approvals(group)).total
        checkpoints = (await store.list_checkpoints(group, run.id)).total
        return entries, messages, approvals, checkpoints, run.step, [mark.label for mark in run.marks]

    before, once = (1, 0, 0, 0, 0, ["first", "second"]), (2, 1, 1, 1, 1, ["second"])
    return Deed(call=lambda: _accepted(store, item), seen=seen, before=before, once=once)


async def append_an_end(store: Store, _: Backend, group: str) -> Deed:
    """The end of a run that another one waits for."""
    first = make_creation(group)
    owner = Owner(store, await take(store, await store.create_run(first)))
    await owner.append(approvals=(make_approval(owner.run),))
    waiter = await store.create_run(make_creation(group, after=first, at_s=1))
    item = owner.write(status=RunStatus.COMPLETED)

    async def seen() -> Any:
        await store.sweep()
        run = await store.get_run(group, owner.run.id)
        (approval,) = (await store.list_approvals(group)).items
        return run.status, run.owner, await holder(store, waiter) == waiter.id, approval.status

    before = (RunStatus.RUNNING, "worker-1", False, "pending")
    once = (RunStatus.COMPLETED, None, True, "cancelled")
    return Deed(call=lambda: _accepted(store, item), seen=seen, before=before, once=once)


async def _accepted(store: Store, item: Any) -> None:
    (result,) = await store.append([item])
    assert not isinstance(result, Exception), result


async def annotate_checkpoint(store: Store, _: Backend, group: str) -> Deed:
    """A label."""
    owner = await start(store, group)
    await owner.append(checkpoint="step")
    checkpoint_id = owner.checkpoint_id or ""

    async def seen() -> Any:
        found = await store.get_checkpoint(group, checkpoint_id)
        return found.label, found.tags

    def call() -> Awaitable[Any]:
        return store.annotate_checkpoint(group, checkpoint_id, label="here", tags=("x",))

    return Deed(call=call, seen=seen, before=(None, ()), once=("here", ("x",)))


async def update_approval(store: Store, _: Backend, group: str) -> Deed:
    """A decision."""
    owner = await start(store, group)
    approval = make_approval(owner.run)
    await owner.append(approvals=(approval,))

    async def seen() -> Any:
        found = await store.get_approval(group, approval.id)
        return found.status, found.by

    def call() -> Awaitable[Any]:
        return store.update_approval(group, approval.id, lambda a: decide(a, "approve", by="ann", at=instant(1)))

    return Deed(call=call, seen=seen, before=("pending", None), once=("approved", "ann"))


async def put_snapshot(store: Store, _: Backend, group: str) -> Deed:
    """An agent as it was."""

    async def seen() -> Any:
        try:
            return await store.get_snapshot(group, SNAPSHOT.digest) == SNAPSHOT
        except NotFound:
            return False

    return Deed(call=lambda: store.put_snapshot(group, SNAPSHOT), seen=seen, before=False, once=True)


async def beat(store: Store, _: Backend, group: str) -> Deed:
    """A sign of life."""

    async def seen() -> Any:
        return await store.living(60)

    return Deed(call=lambda: store.beat("w", {"pid": "1"}), seen=seen, before=frozenset(), once={"w"})


async def retire(store: Store, _: Backend, group: str) -> Deed:
    """The end of a worker."""
    await store.beat("w", {})

    async def seen() -> Any:
        return await store.living(60)

    return Deed(call=lambda: store.retire("w"), seen=seen, before={"w"}, once=frozenset())


async def claim_ready(store: Store, _: Backend, group: str) -> Deed:
    """A claim. Whoever heard nothing finds the run among its own."""
    await store.create_run(make_creation(group))

    async def seen() -> Any:
        return [(run.owner, run.epoch) for run in await store.owned("w")]

    return Deed(call=lambda: store.claim_ready("w", LIMITS, limit=1), seen=seen, before=[], once=[("w", 1)])


async def claim_abandoned(store: Store, backend: Backend, group: str) -> Deed:
    """The claims of what a dead worker left."""
    await store.beat("dead", {})
    for _ in range(2):
        await start(store, group, "dead")
    await backend.age_worker(store, "dead", LONG_AGO_S)

    async def seen() -> Any:
        return sorted((run.owner, run.epoch, run.claims) for run in await store.owned("w"))

    def call() -> Awaitable[Any]:
        return store.claim_abandoned("w", 60, limit=9)

    return Deed(call=call, seen=seen, before=[], once=[("w", 2, 1)] * 2)


async def sweep(store: Store, backend: Backend, group: str) -> Deed:
    """A branch that nobody holds goes to who waits."""
    first = make_creation(group)
    run = await store.create_run(first)
    waiters = [await store.create_run(make_creation(group, after=first, at_s=n)) for n in (1, 2)]
    await backend.lose_hold(store, group, run.id)

    async def seen() -> Any:
        return await holder(store, run)

    return Deed(call=store.sweep, seen=seen, before=None, once=waiters[0].id)


def _agent(group: str) -> Agent:
    return Agent(
        id="a", group_id=group, name="A", provider="p", model="m", created_at=instant(0), updated_at=instant(0)
    )


async def insert(store: Store, _: Backend, group: str) -> Deed:
    """A new record."""
    agent = _agent(group)

    async def seen() -> Any:
        return (await store.find(AGENTS, group)).items

    return Deed(call=lambda: store.insert(AGENTS, agent), seen=seen, before=[], once=[agent], again=AlreadyExists)


async def update(store: Store, _: Backend, group: str) -> Deed:
    """A changed record."""
    await store.insert(AGENTS, _agent(group))

    async def seen() -> Any:
        return (await store.get(AGENTS, group, "a")).name

    def call() -> Awaitable[Any]:
        return store.update(AGENTS, group, "a", lambda agent: replace(agent, name="B"))

    return Deed(call=call, seen=seen, before="A", once="B")


async def delete(store: Store, _: Backend, group: str) -> Deed:
    """A record less."""
    await store.insert(AGENTS, _agent(group))

    async def seen() -> Any:
        return (await store.find(AGENTS, group)).total

    return Deed(call=lambda: store.delete(AGENTS, group, "a"), seen=seen, before=1, once=0, again=NotFound)


async def prune(store: Store, _: Backend, group: str) -> Deed:
    """Old records less."""
    for at_s in (0, 0, 9):
        await store.insert(SESSIONS, make_session(group, at_s=at_s))

    async def seen() -> Any:
        return (await store.find(SESSIONS, group)).total

    return Deed(call=lambda: store.prune(SESSIONS, instant(5)), seen=seen, before=3, once=1)


async def rewrite_entries(store: Store, _: Backend, group: str) -> Deed:
    """A journal in fewer entries."""
    owner = await start(store, group)
    for number in range(4):
        await owner.append(make_deltas(f"tok{number}"))
    run = await owner.end()
    entries = await store.read_entries(group, run.id)
    compactor = Compactor(settled_epochs({entry.epoch for entry in entries}, run.epoch))
    made = [*(one for entry in entries for one in compactor.feed(entry)), *compactor.finish()]

    async def seen() -> Any:
        found = await store.read_entries(group, run.id)
        return len(found), found[-1].last_seq

    before, once = (6, run.last_seq), (3, run.last_seq)  # the tokens become one
    return Deed(call=lambda: store.rewrite_entries(made), seen=seen, before=before, once=once)


async def delete_unneeded(store: Store, _: Backend, group: str) -> Deed:
    """The deletion of a run that nobody needs; asked again, it is not there."""
    run = await (await start(store, group)).end()

    async def seen() -> Any:
        return await store.head(group, run.id) > 0

    def call() -> Awaitable[Any]:
        return store.delete_unneeded(group, run.id, ended_before=instant(10**6))

    return Deed(call=call, seen=seen, before=True, once=False)


async def collect(store: Store, backend: Backend, group: str) -> Deed:
    """What nobody refers to goes once it is old enough: found first, then deleted."""
    await store.put_snapshot(group, SNAPSHOT)
    await store.collect(limit=100)  # notes that it is not used
    await backend.age_contents(store, LONG_AGO_S)

    async def seen() -> Any:
        try:
            return await store.get_snapshot(group, SNAPSHOT.digest) == SNAPSHOT
        except NotFound:
            return False

    return Deed(call=lambda: store.collect(limit=100), seen=seen, before=True, once=False)


DEEDS: tuple[Preparation, ...] = (
    *(create_run, update_run, delete_run, append, append_an_end, annotate_checkpoint, update_approval, put_snapshot),
    *(beat, retire, claim_ready, claim_abandoned, sweep),
    *(insert, update, delete, prune),
    *(rewrite_entries, delete_unneeded, collect),
)
"""All of them; reads are not deeds."""
