"""The part of the port that keeps a database small: what is over is compacted, deleted, collected."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agio.domain.journal import Entry
from agio.domain.runs import Run
from agio.domain.status import RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a look at some of the stored contents found."""

    count: int
    """How many nobody refers to: deleted, or marked to be deleted if it is still so later."""
    next_cursor: str | None
    """Hands on to the next ones; None at the end."""


class Upkeep(Protocol):
    """Keeps the database small. Every method looks at a bounded number of things, of every group.

    Several processes may do the same at once: what one has done, another finds done.
    """

    async def ended_runs(
        self, status: RunStatus, *, before: datetime, limit: int, behind: Run | None = None
    ) -> list[Run]:
        """Return runs that ended with a status before an instant, those that ended last first.

        Args:
            status: a terminal one.
            before: the instant.
            limit: how many.
            behind: only those that come behind this one in that order.
        """
        ...

    async def uncompacted_runs(self, *, before: datetime, limit: int, behind: Run | None = None) -> list[Run]:
        """Return runs that ended before an instant and are not compacted (`Run.is_compacted`), as `ended_runs`."""
        ...

    async def rewrite_entries(self, entries: Sequence[Entry]) -> None:
        """Put each entry in the place of all entries of its run that begin and end within its numbers.

        Only `events` and `last_seq` of the one that begins with it change. Readers see the old entries or the
        new one, never a gap and no event twice. Nothing changes where the numbers do not end with an entry, where
        the epoch is another (somebody else has compacted the run, and further), or where messages would go.
        """
        ...

    async def delete_unneeded(self, group_id: str, run_id: str, *, ended_before: datetime) -> bool:
        """Delete a run as `delete_run` does, if it ended before the instant and no other run needs it.

        Needed is what `dependents` names, and a run that a branch made within the last hour leaves: its run may
        be about to be made. A run that is made from a deleted one at the same time is refused (`create_run`).

        Returns:
            Whether it is deleted; False also when it is not there.
        """
        ...

    async def collect(self, *, limit: int, cursor: str | None = None) -> Collected:
        """Look at some stored contents (agent snapshots, chunks, specs) and delete those nobody refers to.

        What may belong to a write under way is left alone: what is younger than an hour, and everything of runs
        that are live.
        """
        ...
