"""Everything that happens to the task trees of a group, as frames: one tail over its runs."""

from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

from agio.api.protocols.aipartnerupflow.convert import Frame, Teller
from agio.domain.errors import NotFound
from agio.domain.journal import Entry
from agio.domain.runs import Run
from agio.engine.caller import Caller
from agio.engine.clock import utc_now
from agio.engine.engine import Engine
from agio.engine.tail import Draining, Selection

NEWEST = 500
"""How many of the newest runs, besides all live ones, are known from the beginning."""
OVERLAP = timedelta(seconds=5)
"""How late the clock of a worker may be that begins a run."""
MOST_KNOWN = 5_000
"""Runs whose place is remembered."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered of a run."""

    teller: Teller | None
    """None: it is of no tree that the reader may see."""
    task_id: str | None = None
    """The task that it works for; None: it is the tree's own run."""


NO_TREE = _Known(None)


class Watch:
    """One reader of all trees."""

    def __init__(self, engine: Engine, caller: Caller, owner: str | None) -> None:
        self._engine = engine
        self._caller = caller
        self._owner = owner
        self._selection = Selection(everything=True)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._since = utc_now() - OVERLAP
        self._returned: set[str] = set()

    async def begin(self) -> None:
        """Note what is there: of that, only what follows is told."""
        present = await self._engine.sessions.present_runs(self._caller, newest=NEWEST)
        self._selection.cursors |= await self._engine.store.heads([run.id for run in present])

    async def frames(self) -> AsyncGenerator[Frame | Draining, None]:
        """Yield frames as things happen, without an end."""
        async with aclosing(self._engine.tail_many(self._caller, self._selection)) as items:
            async for item in items:
                if isinstance(item, Draining):
                    yield item
                    return
                entry = item.entry
                known = await self._find(entry.run_id)
                if known.teller is None:
                    continue
                frames = known.teller.tell(known.task_id, entry)  # heard in any case: it remembers how far things are
                if not self._is_old(entry):
                    for one in frames:
                        yield one

    def _is_old(self, entry: Entry) -> bool:
        """Say whether it is of a run from before that was taken up again: what it did then is no news.

        New runs are told from it by their first entry, so that a worker whose clock is late loses nothing.
        """
        if entry.run_id in self._selection.cursors or entry.at >= self._since:
            return False
        if entry.first_seq == 1:
            self._returned.add(entry.run_id)
        return entry.run_id in self._returned

    async def _find(self, run_id: str) -> _Known:
        known = self._known.get(run_id)
        if known is None:
            known = self._known[run_id] = await self._look_up(run_id)
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return known

    async def _look_up(self, run_id: str) -> _Known:
        try:
            run = await self._engine.store.get_run(self._caller.group_id, run_id)
            if run.place is None:
                return await self._of_root(run)
            root = await self._find(run.place.root_run_id)
            return _Known(root.teller, await self._top_task(run)) if root.teller is not None else NO_TREE
        except NotFound:
            return NO_TREE

    async def _of_root(self, run: Run) -> _Known:
        tree_id = run.metadata.get("task_tree")
        if not isinstance(tree_id, str):
            return NO_TREE
        tree = await self._engine.task_trees.get(self._caller, tree_id, owner=self._owner)
        if all(execution.run_id != run.id for execution in tree.executions):
            return NO_TREE
        progress = (await self._engine.trees.read(self._caller, run.id)).progress
        return _Known(Teller(tree.root_id, run.id, progress))

    async def _top_task(self, run: Run) -> str:
        """Return the tree's task that a run below works for, directly or not."""
        while run.place is not None and run.place.depth > 1:
            run = await self._engine.store.get_run(run.group_id, run.place.parent_run_id)
        return run.place.task_id if run.place is not None else ""
