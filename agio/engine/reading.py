"""Use cases that read: conversations, steps, checkpoint states, trees, comparisons."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from agio.domain.branches import Branch, lineage_segments
from agio.domain.checkpoints import Checkpoint
from agio.domain.compare import Comparison, compare_steps
from agio.domain.diff import Diff, State, diff_states
from agio.domain.errors import NotFound
from agio.domain.events import TERMINAL_EVENTS, Event, RunCompleted
from agio.domain.ids import split_checkpoint_id
from agio.domain.journal import Entry
from agio.domain.messages import Message
from agio.domain.runs import Run, RunFilter, RunSpec
from agio.domain.status import LIVE, RunStatus
from agio.domain.steps import Step, present_steps, steps_of
from agio.engine.caller import Caller
from agio.engine.continuing import Origin
from agio.engine.creation import get_run
from agio.storage.port import BRANCHES, SESSIONS, Page, Store
from agio.tools.base import Toolbox

MAX_ENTRIES = 100_000
"""Journal entries that one reading use case looks through at most."""

CATCH_UP_S = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""Waits for a record that is behind its journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail:
    """A run with what only its journal and spec know."""

    run: Run
    spec: RunSpec
    response: str | None
    last_seq: int
    queue_position: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """All branches and checkpoints of a session, without payloads."""

    branches: list[Branch]
    checkpoints: list[Checkpoint]
    current_branch_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport:
    """What a fork would reuse and run again."""

    origin: Origin
    steps_to_rerun: list[int]
    tools_with_side_effects: list[dict[str, Any]] = field(default_factory=list)
    """`{name, calls}`: tools that the source called after the checkpoint and that change things outside."""
    estimated_tokens: int = 0
    """What the source spent on those steps."""


class Reading:
    """Reads what runs left behind."""

    def __init__(self, store: Store, toolbox: Toolbox) -> None:
        self._store = store
        self._toolbox = toolbox

    async def detail(self, caller: Caller, run_id: str) -> RunDetail:
        """Return one run, whole. Raises `NotFound`."""
        head = await self._store.head(caller.group_id, run_id)  # first: the record may be newer, never older
        run = await self._catch_up(caller, await get_run(self._store, caller, run_id), head)
        spec = await self._store.get_spec(caller.group_id, run_id)
        if run.is_terminal:
            head = await self._store.head(caller.group_id, run_id)
        end = await self._last_event(caller, run_id, head) if run.is_terminal else None
        position = None
        if run.status == "queued":
            ahead = await self._store.list_runs(
                caller.group_id,
                RunFilter(statuses=frozenset({run.status}), until=run.created_at),
                limit=1,
            )
            position = ahead.total + 1
        response = end.response if isinstance(end, RunCompleted) else None
        return RunDetail(run=run, spec=spec, response=response, last_seq=head, queue_position=position)

    async def _catch_up(self, caller: Caller, run: Run, head: int) -> Run:
        """Return the record once it knows of an end that readers may have seen: soon, unless its owner died."""
        if run.status is not RunStatus.RUNNING or head <= run.last_seq:
            return run
        if await self._last_event(caller, run.id, head) is None:
            return run
        for wait_s in CATCH_UP_S:
            await asyncio.sleep(wait_s)
            run = await get_run(self._store, caller, run.id)
            if run.last_seq >= head:
                break
        return run

    async def _last_event(self, caller: Caller, run_id: str, head: int) -> Event | None:
        entries = await self._store.read_entries(caller.group_id, run_id, after=head - 1, limit=1)
        event = entries[0].events[-1] if entries else None
        return event if isinstance(event, TERMINAL_EVENTS) else None

    async def attempt_start(self, caller: Caller, run: Run) -> int:
        """Return the last sequence number before the run's present attempt; 0: it is the first."""
        if run.attempt == 1:
            return 0
        earlier = (entry.last_seq for entry in await self.entries(caller, run.id) if entry.attempt < run.attempt)
        return max(earlier, default=0)

    async def entries(self, caller: Caller, run_id: str, *, after: int = 0) -> list[Entry]:
        """Return the run's journal. Raises `NotFound`."""
        await get_run(self._store, caller, run_id)
        found: list[Entry] = []
        while len(found) < MAX_ENTRIES:
            batch = await self._store.read_entries(caller.group_id, run_id, after=after, limit=1000)
            if not batch:
                break
            found += batch
            after = batch[-1].last_seq
        return found

    async def steps(self, caller: Caller, run_id: str) -> list[Step]:
        """Return the run's steps in order. Raises `NotFound`."""
        return steps_of(await self.entries(caller, run_id))

    async def messages(self, caller: Caller, run_id: str) -> list[Message]:
        """Return the conversation up to the run's last checkpoint. Raises `NotFound`."""
        run = await get_run(self._store, caller, run_id)
        last = await self._store.last_checkpoint(caller.group_id, run_id)
        if last is None or last.attempt != run.attempt:
            return []
        return await self._store.read_messages(caller.group_id, last.branch_id, end=last.position)

    async def session_messages(self, caller: Caller, session_id: str, branch_id: str | None = None) -> list[Message]:
        """Return the conversation on one branch of a session, its current one by default."""
        session = await self._store.get(SESSIONS, caller.group_id, session_id)
        wanted = branch_id or session.current_branch_id
        lineage = await self._store.lineage(caller.group_id, wanted)
        if lineage[0].session_id != session_id:
            raise NotFound(f"there is no branch {branch_id!r} in that session")
        return await self._store.read_messages(caller.group_id, wanted, end=await self._settled_end(caller, lineage[0]))

    async def message_count(self, caller: Caller, branch: Branch) -> int:
        """Return how many messages a conversation has on a branch, up to its last checkpoint."""
        return await self._settled_end(caller, branch)

    async def _settled_end(self, caller: Caller, branch: Branch) -> int:
        """Return where the branch's last checkpoint stands: what is behind it is a step under way."""
        end = await self._store.branch_end(caller.group_id, branch.id)
        where = RunFilter(branch_id=branch.id, statuses=LIVE)
        live = await self._store.list_runs(caller.group_id, where, limit=100, newest_first=False)
        for run in live.items:
            last = await self._store.last_checkpoint(caller.group_id, run.id) if run.holds_branch else None
            if last is not None and last.branch_id == branch.id:
                return min(end, last.position)
        return end

    async def state_at(self, caller: Caller, checkpoint_id: str) -> State:
        """Return everything that a checkpoint stands for. Raises `NotFound`."""
        try:
            checkpoint = await self._store.get_checkpoint(caller.group_id, checkpoint_id)
        except NotFound:
            raise NotFound(f"there is no checkpoint {checkpoint_id!r}") from None
        messages = await self._store.read_messages(caller.group_id, checkpoint.branch_id, end=checkpoint.position)
        snapshot = await self._store.get_snapshot(caller.group_id, checkpoint.agent_digest)
        return State(checkpoint=checkpoint, messages=messages, snapshot=snapshot)

    async def diff(self, caller: Caller, checkpoint_id: str, against_id: str) -> Diff:
        """Return what turns the state at `against_id` into the one at `checkpoint_id`."""
        return diff_states(await self.state_at(caller, against_id), await self.state_at(caller, checkpoint_id))

    async def compare(self, caller: Caller, run_a: str, run_b: str) -> Comparison:
        """Align two runs by step. A fork shows the steps that it took over as its parent's."""
        return compare_steps(await self._whole_steps(caller, run_a), await self._whole_steps(caller, run_b))

    async def _whole_steps(self, caller: Caller, run_id: str, checkpoint_id: str | None = None) -> list[Step]:
        """Return the steps that led to a checkpoint of the run, by default to its end."""
        run = await get_run(self._store, caller, run_id)
        place = split_checkpoint_id(checkpoint_id) if checkpoint_id is not None else None
        entries = await self.entries(caller, run_id)
        steps = present_steps(steps_of(e for e in entries if place is None or e.first_seq <= place[1]))
        if run.parent is None or run.base_step == 0:
            return steps
        inherited = await self._whole_steps(caller, run.parent.run_id, run.parent.checkpoint_id)
        return [step for step in inherited if step.step <= run.base_step] + steps

    async def checkpoints(
        self, caller: Caller, run_id: str, *, limit: int | None = None, offset: int = 0
    ) -> tuple[Page[Checkpoint], frozenset[str]]:
        """Return the run's checkpoints and the ids of those that a newer attempt superseded."""
        run = await get_run(self._store, caller, run_id)
        page = await self._store.list_checkpoints(caller.group_id, run_id, limit=limit, offset=offset)
        if run.attempt == 1:
            return page, frozenset()
        reach = await self._reach(caller, run)
        gone = frozenset(c.id for c in page.items if c.position > reach.get(c.branch_id, -1))
        return page, gone

    async def _reach(self, caller: Caller, run: Run) -> dict[str, int]:
        """Return up to which position each branch belongs to the run's present one."""
        lineage = await self._store.lineage(caller.group_id, run.branch_id)
        ends = {s.branch_id: s.end for s in lineage_segments(lineage)}
        return {branch_id: 2**62 if end is None else end for branch_id, end in ends.items()}

    async def tree(self, caller: Caller, session_id: str) -> Tree:
        """Return the session's branches and checkpoints. Raises `NotFound`."""
        session = await self._store.get(SESSIONS, caller.group_id, session_id)
        branches = await self._store.find(BRANCHES, caller.group_id, {"session_id": session_id})
        checkpoints = await self._store.session_checkpoints(caller.group_id, session_id)
        return Tree(
            branches=branches.items,
            checkpoints=sorted(checkpoints, key=lambda c: (c.created_at, c.run_id, c.seq)),
            current_branch_id=session.current_branch_id,
        )

    async def plan_report(self, caller: Caller, origin: Origin) -> PlanReport:
        """Return what the fork would run again, as far as the source tells."""
        later = [
            step
            for step in present_steps(await self.steps(caller, origin.run.id))
            if step.step > origin.plan.base_step and step.status == "completed"
        ]
        calls: dict[str, int] = {}
        for step in later:
            for use in step.tool_calls:
                calls[use.name] = calls.get(use.name, 0) + 1
        known = {tool.name: tool for tool in await self._toolbox.list(caller.group_id)}
        risky = [
            {"name": name, "calls": count}
            for name, count in calls.items()
            if name not in known or known[name].side_effects
        ]
        return PlanReport(
            origin=origin,
            steps_to_rerun=sorted({step.step for step in later}),
            tools_with_side_effects=risky,
            estimated_tokens=sum(step.usage.total_tokens for step in later if step.usage),
        )
