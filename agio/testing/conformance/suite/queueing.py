"""Any sequence of what may happen to the runs of one branch, against a plain list as the oracle."""

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from agio.domain import control
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.storage.port import RunCreation, Store, WorkerLimits
from agio.testing.conformance.records import Owner, claim_one, eventually, instant, make_creation, on_branch, tick

ACTIONS = st.lists(
    st.sampled_from(["create", "claim", "pause", "cancel", "resume", "end", "rest", "sweep"]), min_size=4, max_size=14
)


@dataclass
class _Branch:
    """The oracle: who holds the branch, and who waits for it in which order."""

    order: list[str] = field(default_factory=list)
    holder: str | None = None
    line: list[str] = field(default_factory=list)

    def follow(self, runs: list[Run]) -> None:
        """Take over what happened to the runs; a run waits while it is queued, and in vain when it has ended."""
        self.order += [run.id for run in runs if run.id not in self.order]
        queued = [run.id for run in runs if run.status is RunStatus.QUEUED]
        if self.holder in {run.id for run in runs if run.is_terminal}:
            self.holder = None
        self.line = [run_id for run_id in self.line if run_id in queued]
        self.line += [run_id for run_id in queued if run_id not in self.line and run_id != self.holder]
        if self.holder is None and self.line:
            self.holder = self.line.pop(0)


class TestBranchQueue:
    @given(actions=ACTIONS)
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    async def test_one_run_holds_and_none_is_forgotten(self, store: Store, group: str, actions: list[str]) -> None:
        first = make_creation(group)
        await store.create_run(first)
        oracle = _Branch()
        await _assert_agrees(store, oracle, first.run)
        note(f"actions: {actions}")
        for number, action in enumerate(actions, start=1):
            await tick()
            await _act(store, first, action, number)
            await _assert_agrees(store, oracle, first.run)
        await _serve_all(store, oracle, first)


async def _act(store: Store, first: RunCreation, action: str, number: int) -> None:
    runs = [run for run in await on_branch(store, first.run) if not run.is_terminal]
    run = runs[number % len(runs)] if runs else None
    at = instant(number)
    if action == "create":
        await store.create_run(make_creation(first.run.group_id, after=first, at_s=number))
    elif action == "claim":
        await _claim(store, first.run.group_id, number)
    elif action == "sweep":
        await store.sweep()
    elif run is None:
        return
    elif action == "pause" and run.status is not RunStatus.INTERRUPTED:
        await _change(store, run, lambda r: control.request_pause(r, by="ann", at=at))
    elif action == "cancel":
        await _change(store, run, lambda r: control.request_cancel(r, by="ann", at=at))
    elif action == "resume" and run.status in (RunStatus.PAUSED, RunStatus.WAITING) and run.cancel is None:
        await _change(store, run, lambda r: control.request_resume(r, by="ann", at=at))
    elif action in ("end", "rest") and run.owner is not None:
        await _let_go(store, run, RunStatus.COMPLETED if action == "end" else RunStatus.WAITING)


async def _claim(store: Store, group: str, number: int) -> None:
    """Claim; the owner carries a pause out at once."""
    claimed = await claim_one(store, f"worker-{number}", WorkerLimits())
    if claimed is not None and claimed.cancel is None and claimed.pause is not None:
        owner = Owner(store, claimed, head=await store.head(group, claimed.id))
        await owner.rest(RunStatus.PAUSED, pause_done=True)


async def _let_go(store: Store, run: Run, status: RunStatus) -> None:
    owner = Owner(store, run, head=await store.head(run.group_id, run.id))
    await owner.rest(status)


async def _change(store: Store, run: Run, change: Callable[[Run], Run]) -> None:
    await store.update_run(run.group_id, run.id, change)


async def _assert_agrees(store: Store, oracle: _Branch, run: Run) -> None:
    oracle.follow(await on_branch(store, run))
    wanted = [oracle.holder] if oracle.holder else []

    async def held() -> bool:
        return [one.id for one in await on_branch(store, run) if one.holds_branch] == wanted

    await eventually(held, "the run that waits longest to hold the branch", within_s=1)
    assert [one.id for one in await on_branch(store, run)] == oracle.order


async def _serve_all(store: Store, oracle: _Branch, first: RunCreation) -> None:
    """Cancel everything; then all must end, and the branch must be free."""
    for run in await on_branch(store, first.run):
        if not run.is_terminal:
            await _change(store, run, lambda r: control.request_cancel(r, by="ann", at=instant(99)))
    owned = [run for run in await on_branch(store, first.run) if run.owner is not None]
    for run in owned:
        await _let_go(store, run, RunStatus.CANCELLED)
    while claimed := await claim_one(store, "last", WorkerLimits()):
        await _let_go(store, claimed, RunStatus.CANCELLED)
    await _assert_agrees(store, oracle, first.run)
    assert oracle.holder is None
    assert all(run.is_terminal for run in await on_branch(store, first.run))
