"""The projection of accepted entries on the records of their runs."""

from collections.abc import Collection, Mapping

from agio.domain.control import project
from agio.domain.errors import AgioError, LeaseLost
from agio.domain.runs import Run
from agio.storage.mongo.run_records import RunRecords, RunState
from agio.storage.port import Append, AppendResult


class Projection:
    """Applies the updates of accepted entries to the records of their runs."""

    def __init__(self, records: RunRecords, items: Mapping[int, Append], found: Collection[int]) -> None:
        """Args: items, each with an update, by number; found: those whose entry was there already."""
        self._records = records
        self._waiting = dict(items)
        self._doubtful = set(found)
        """Items whose update a twin of this call may have applied."""
        self._stale = {item.entry.run_id for number, item in items.items() if number in found}
        self._numbers = {item.entry.run_id: number for number, item in items.items()}
        self.results: dict[int, AppendResult] = {}
        """By number."""
        self.changed: list[RunState] = []
        """The states of the runs whose update is applied."""
        self.failure: AgioError | None = None
        """What `project` raised, if it was not `LeaseLost`: a mistake of the caller."""

    async def write(self) -> None:
        """Apply every update, or learn why not."""
        while self._waiting:
            epochs = {item.entry.run_id: item.entry.epoch for item in self._waiting.values()}
            changes = self._apply(await self._records.current(epochs, fresh=self._stale))
            written = await self._records.swap_all(changes) if changes else {}
            for run_id, state in written.items():
                self._settle(self._numbers[run_id], state.run)
                self.changed.append(state)
            self._stale = {item.entry.run_id for item in self._waiting.values()}
            self._doubtful.update(self._waiting)

    def replace_result(self, run: Run) -> None:
        """Report this state of the run instead of the one that the update made."""
        self.results[self._numbers[run.id]] = run

    def _apply(self, states: Mapping[str, RunState]) -> list[tuple[RunState, Run]]:
        """Return the changes to write, and settle what needs none."""
        changes: list[tuple[RunState, Run]] = []
        for number, item in list(self._waiting.items()):
            state = states.get(item.entry.run_id)
            if state is None or state.run.group_id != item.entry.group_id:
                self._settle(number, LeaseLost(f"there is no run {item.entry.run_id!r}"))
            elif self._is_applied(number, item, state.run):
                self.changed.append(state)
                self._settle(number, state.run)
            else:
                try:
                    changes.append((state, _projected(state.run, item)))
                except LeaseLost as error:
                    self._settle(number, error)
                except AgioError as error:
                    self.failure = self.failure or error
                    self._settle(number, None)
        return changes

    def _is_applied(self, number: int, item: Append, run: Run) -> bool:
        """Say whether a call whose answer was lost did the update: doing it again could undo a command."""
        if number not in self._doubtful or item.update is None or run.epoch != item.entry.epoch:
            return False
        return run.last_seq >= item.update.last_seq

    def _settle(self, number: int, result: AppendResult) -> None:
        self.results[number] = result
        del self._waiting[number]


def _projected(run: Run, item: Append) -> Run:
    assert item.update is not None
    return project(run, item.update, epoch=item.entry.epoch, at=item.entry.at)
