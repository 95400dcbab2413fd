"""Runs that another worker took over although this process lives and holds the key that came with their request."""

from agio.domain import control
from agio.domain.errors import NotFound
from agio.domain.runs import Run
from agio.domain.status import RunStatus, StopReason
from agio.engine.children import Notify
from agio.engine.clock import utc_now
from agio.engine.keys import RunKeys
from agio.storage.port import RunStore


class LostRuns:
    """Watches such runs, and lets one go on that came to rest because nobody else has its key.

    Whoever took it over did so in good faith, and can only let it rest: the key is in this process's memory. Any worker
    may claim it then, and passes it on to here.
    """

    def __init__(self, store: RunStore, keys: RunKeys, notify: Notify) -> None:
        self._store = store
        self._keys = keys
        self._notify = notify
        self._watched: dict[str, Run] = {}

    def note(self, run: Run) -> None:
        """Take note of a run that was lost just now."""
        if self._keys.holds(run.llm_key):
            self._watched[run.id] = run

    async def look(self) -> None:
        """Let those go on that wait for a key which is here."""
        for lost in list(self._watched.values()):
            if not await self._look_at(lost):
                del self._watched[lost.id]

    async def _look_at(self, lost: Run) -> bool:
        """Say whether it is worth a further look."""
        try:
            run = await self._store.get_run(lost.group_id, lost.id)
        except NotFound:
            return False
        if run.is_terminal or run.owner == self._keys.worker_id or not self._keys.holds(run.llm_key):
            return False
        if _waits_for_key(run):
            self._notify(await self._store.update_run(run.group_id, run.id, _resumed))
        return True


def _waits_for_key(run: Run) -> bool:
    return run.status is RunStatus.WAITING and run.reason == StopReason.LLM_KEY_MISSING and run.cancel is None


def _resumed(run: Run) -> Run:
    if not _waits_for_key(run):
        return run
    return control.request_resume(run, by="system", at=utc_now(), llm_key=run.llm_key)
