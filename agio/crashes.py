"""Named places where a process can be made to die, so that tests can show what survives it.

`AGIO_CRASH_AT=<place>:<n>` ends the process, as `kill -9` would, when it comes to the place for the n-th time.
Places are passed once per run, tool call or commit, never once per event; what is called there is decided when
this module is imported, and is an empty function unless the variable is set: no lookup, no branch, no count.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

PLACES = {
    "accept": "a run or attempt is durable; whoever asked for it has no answer yet",
    "fork": "a branch is made; the run or attempt that shall go on it is not",
    "claim": "a worker owns a run and has written nothing yet",
    "intent": "it is in the journal that a tool is called; the tool is not called yet",
    "effect": "the tool has returned; its result is not in the journal",
    "result": "the result is in the journal; nothing else has happened",
    "append": "entries are in the journal, the records of their runs are behind (in SQLite: not committed)",
    "publish": "entries are durable; no reader has got them",
    "drain": "a run of a draining worker has all its events, and its owner still",
    "end": "the terminal event is durable; no reader has got it",
    "hold": "it is written down who shall hear of a run's end; the run has not ended",
    "sent": "a receiver has answered a webhook's delivery; that is not written down",
    "close": "a stream has sent its last event and is still open",
}

EXIT_CODE = 137
"""What a shell reports of a process that SIGKILL ended."""

_BY_EVENT = {
    "tool_call_started": "intent",
    "tool_call_completed": "result",
    "run_completed": "end",
    "run_failed": "end",
    "run_cancelled": "end",
}


class _Entry(Protocol):
    @property
    def events(self) -> Sequence[Any]: ...


class _Append(Protocol):
    @property
    def entry(self) -> _Entry: ...


def _go_on(place: str) -> None:
    """Nothing happens here."""


def _go_on_all(batch: Sequence[_Append], results: Sequence[object]) -> None:
    """Nothing happens here either."""


at: Callable[[str], None] = _go_on
"""Called at each place with its name."""
committed: Callable[[Sequence[_Append], Sequence[object]], None] = _go_on_all
"""Called with entries and what became of them, an error for those refused, after the commit and before they are
published: the places that their events tell of."""


def arm(text: str | None) -> None:
    """Let this process die at `<place>:<n>`; None: nowhere.

    Raises:
        ValueError: there is no such place, or `n` is not a number from 1 on.
    """
    global at, committed
    if text is None:
        at, committed = _go_on, _go_on_all
        return
    name, _, number = text.partition(":")
    if name not in PLACES or not number.isdecimal() or int(number) < 1:
        raise ValueError(f"AGIO_CRASH_AT={text!r} is not <place>:<n>; the places are {', '.join(PLACES)}")
    left = int(number)

    def reach(place: str) -> None:
        nonlocal left
        left -= place == name
        if left == 0:
            os._exit(EXIT_CODE)

    def reach_all(batch: Sequence[_Append], results: Sequence[object]) -> None:
        done = [item.entry for item, result in zip(batch, results, strict=True) if not isinstance(result, Exception)]
        passed = {_BY_EVENT.get(event.type, "publish") for entry in done for event in entry.events}
        for place in passed | {"publish"} if done else ():
            reach(place)

    at, committed = reach, reach_all


arm(os.environ.get("AGIO_CRASH_AT") or None)
