"""Compaction: the journal of an ended run in fewer and larger entries. Pure.

Nothing a reader can ask for is lost: every event id, its text, every message and checkpoint stay. What goes is
the weight of an entry for every few tokens, and the instant of each of them.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace

from agio.domain.events import Deltas, Event
from agio.domain.journal import Entry

MOST_CHARS = 60_000
"""Text that one entry is given at most; the next one begins beyond."""


def settled_epochs(epochs: Collection[int], present: int) -> frozenset[int]:
    """Return the epochs of which entries may go: those whose successor is known to have written behind them.

    Args:
        epochs: those that have entries in the journal.
        present: the run's own.
    """
    return frozenset(epoch for epoch in epochs if epoch == present or epoch + 1 in epochs)


class Compactor:
    """Folds a run's entries, fed in order, into those that shall take their place.

    An entry's key is the fence: it refuses a writer that lost the run long ago and wakes up. Such a writer tries
    the number behind the last entry that it knows. So the first and the last entry of an epoch stay where they
    are: behind the last one its own owner may try again, at the first one the owner before it. An owner that
    wrote nothing may have read the end anywhere in the epoch before it, so entries go only where the next owner
    has written (`settled_epochs`); the numbers that it may have tried before that were refused to it then.
    """

    def __init__(self, settled: Collection[int]) -> None:
        self._settled = settled
        self._begun: set[tuple[str, str]] = set()
        """Messages of which the first tokens have been seen, by id and kind of text."""
        self._before: Entry | None = None
        self._waiting: Entry | None = None
        """Fed last: what may become of it depends on the next one."""
        self._target: Entry | None = None
        """What entries are folded into."""
        self._events: list[Event] = []
        self._last_seq = 0
        self._chars = 0

    def feed(self, entry: Entry) -> Iterator[Entry]:
        """Take the next entry; yield those that are ready, each to take the place of all within its numbers."""
        if self._waiting is not None:
            yield from self._place(self._waiting, entry)
        self._waiting = entry

    def finish(self) -> Iterator[Entry]:
        """Yield what is left when the journal ends."""
        if self._waiting is not None:
            yield from self._place(self._waiting, None)
        yield from self._close()
        self._waiting = None

    def _place(self, entry: Entry, following: Entry | None) -> Iterator[Entry]:
        chars = sum(len(text) for event in entry.events if isinstance(event, Deltas) for text in event.contents)
        goes = self._may_go(entry, following)
        self._before = entry
        if goes and self._target is not None and self._chars + chars <= MOST_CHARS:
            self._events += entry.events
            self._last_seq = entry.last_seq
            self._chars += chars
            return
        yield from self._close()
        self._target, self._events, self._last_seq = entry, list(entry.events), entry.last_seq
        self._chars = chars

    def _may_go(self, entry: Entry, following: Entry | None) -> bool:
        if entry.epoch not in self._settled or entry.messages or entry.checkpoint is not None:
            return False
        if not all(isinstance(event, Deltas) for event in entry.events):
            return False
        return all(
            other is not None and (other.epoch, other.attempt) == (entry.epoch, entry.attempt)
            for other in (self._before, following)
        )

    def _close(self) -> Iterator[Entry]:
        """Yield the target, if anything of it is joined now or was before."""
        if self._target is None:
            return
        events = tuple(map(self._joined, _gathered(self._events)))
        merged = replace(self._target, events=events, last_seq=self._last_seq)
        # Also one that was joined before: a crash may have left some of the entries that it took in.
        if merged != self._target or any(isinstance(event, Deltas) and event.sizes for event in events):
            yield merged
        self._target = None

    def _joined(self, event: Event) -> Event:
        """Join the texts of the beginning of a message: readers put it in the place of what they have of it."""
        if not isinstance(event, Deltas):
            return event
        place = (event.message_id, event.of)
        is_beginning = place not in self._begun
        self._begun.add(place)
        texts = event.texts
        if not is_beginning or len(texts) == 1:
            return replace(event, contents=texts, sizes=None)
        return replace(event, contents=("".join(texts),), sizes=tuple(map(len, texts)))


def _gathered(events: list[Event]) -> list[Event]:
    """Put neighbouring tokens of one message into one event."""
    found: list[Event] = []
    for event in events:
        last = found[-1] if found else None
        if isinstance(event, Deltas) and isinstance(last, Deltas) and _kin(event) == _kin(last):
            found[-1] = replace(last, contents=last.texts + event.texts, sizes=None)
        else:
            found.append(event)
    return found


def _kin(event: Deltas) -> tuple[str, str, int]:
    return event.of, event.message_id, event.step
