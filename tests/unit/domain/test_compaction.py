"""Compaction: what readers can still ask for, and what the fence still refuses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from agio.api.sse import last_id, wire_events
from agio.domain.compaction import MOST_CHARS, Compactor, settled_epochs
from agio.domain.events import ContentReset, Deltas, Event, MessageCompleted, RunCompleted, StepStarted
from agio.domain.journal import Entry, behind
from agio.domain.metrics import Metrics
from agio.domain.runs import Run
from agio.domain.status import RunStatus
from agio.testing.conformance.records import make_entry
from tests.unit.domain.samples import answer, run_in

RUN = run_in(RunStatus.COMPLETED)
END = RunCompleted(response="x", metrics=Metrics())


def said(*texts: str, message_id: str = "m", of: str = "content") -> Deltas:
    return Deltas(of=of, step=1, message_id=message_id, contents=texts)  # type: ignore[arg-type]


def journal(*batches: Sequence[Event], epochs: Sequence[int] | None = None) -> list[Entry]:
    """Return entries of these events; by default of epoch 1."""
    entries: list[Entry] = []
    for number, events in enumerate(batches):
        first = entries[-1].last_seq + 1 if entries else 1
        made = make_entry(RUN, *events, first_seq=first, epoch=epochs[number] if epochs else 1)
        entries.append(made)
    return entries


def rewritten(entries: Sequence[Entry], *, present: int = 1) -> list[Entry]:
    compactor = Compactor(settled_epochs({entry.epoch for entry in entries}, present))
    return [*(made for entry in entries for made in compactor.feed(entry)), *compactor.finish()]


def applied(entries: Sequence[Entry], made: Iterable[Entry]) -> list[Entry]:
    """Put entries in the places of those within their numbers, as a store does."""
    kept = {entry.first_seq: entry for entry in entries}
    for one in made:
        assert one.first_seq in kept
        for first in [first for first in kept if one.first_seq <= first <= one.last_seq]:
            del kept[first]
        kept[one.first_seq] = one
    return [kept[first] for first in sorted(kept)]


def compacted(entries: Sequence[Entry], *, present: int = 1) -> list[Entry]:
    return applied(entries, rewritten(entries, present=present))


def read(entries: Sequence[Entry], after: int) -> list[dict]:
    """Return what a reader behind `after` gets."""
    return [item for e in entries if e.last_seq > after for item in wire_events(behind(e, after))]


@dataclass
class Reader:
    """Puts together what it is sent, as the page does."""

    seq: int = 0

    def __post_init__(self) -> None:
        self.texts: dict[tuple[str, str], str] = {}

    def take(self, items: Iterable[dict]) -> "Reader":
        for item in items:
            assert item["seq"] == self.seq + 1, "a gap"
            self.seq = last_id(item)
            if item["type"].endswith("_delta"):
                key = (item["message_id"], item["type"])
                before = "" if "compacted" in item else self.texts.get(key, "")
                self.texts[key] = before + item["content"]
        return self


STORY = (
    [StepStarted(step=1)],
    [said("I ")],
    [said("think", " so")],
    [said("."), said("Hel", of="reasoning")],
    [said("lo", of="reasoning")],
    [MessageCompleted(step=1, message_id="m", role="assistant", content="x")],
    [END],
)


def test_tokens_of_many_entries_become_one_event_with_all_their_ids():
    entries = compacted(journal(*STORY))
    assert [type(e) for entry in entries for e in entry.events] == [
        StepStarted,
        Deltas,
        Deltas,
        MessageCompleted,
        RunCompleted,
    ]
    assert entries[0].events[1:] == (
        Deltas(of="content", step=1, message_id="m", contents=("I think so.",), sizes=(2, 5, 3, 1)),
        Deltas(of="reasoning", step=1, message_id="m", contents=("Hello",), sizes=(3, 2)),
    )
    items = read(entries, 0)
    assert [(item["seq"], last_id(item)) for item in items] == [(1, 1), (2, 5), (6, 7), (8, 8), (9, 9)]
    assert items[1]["compacted"] == {"through_seq": 5}


def test_reader_in_the_midst_gets_the_rest_as_it_was():
    whole = journal(*STORY)
    for after in range(2, 5):
        assert [i["content"] for i in read(compacted(whole), after) if i["type"] == "content_delta"] == [
            i["content"] for i in read(whole, after) if i["type"] == "content_delta"
        ]


def test_second_stretch_of_a_message_is_left_in_pieces():
    """A reader puts a compacted event in the place of what it has of the message."""
    entries = journal([StepStarted(step=1)], [said("a", "b")], [said("r", of="reasoning")], [said("c", "d")], [END])
    (first, *_) = compacted(entries)
    assert [event.sizes for event in first.events[1:] if isinstance(event, Deltas)] == [(1, 1), None, None]
    assert Reader().take(read([first], 0)).texts == {("m", "content_delta"): "abcd", ("m", "reasoning_delta"): "r"}


def test_entries_with_messages_or_other_events_stay():
    entries = journal([StepStarted(step=1)], [said("a")], [ContentReset(message_id="m")], [said("b")], [END])
    entries[3] = replace(entries[3], messages=(answer("b"),), branch_id="b", position=0)
    assert [e.first_seq for e in compacted(entries)] == [1, 3, 4, 5]


def test_large_text_goes_to_several_entries_and_nothing_of_it_is_lost():
    pieces = ["x" * 25_000] * 7
    entries = journal([StepStarted(step=1)], *([said(piece)] for piece in pieces), [END])
    made = compacted(entries)
    assert [sum(len(t) for e in entry.events if isinstance(e, Deltas) for t in e.texts) for entry in made] == [
        50_000,
        50_000,
        50_000,
        25_000,
        0,
    ]
    assert MOST_CHARS < 75_000
    assert Reader().take(read(made, 0)).texts == {("m", "content_delta"): "".join(pieces)}


def test_what_is_compacted_stays_so():
    once = compacted(journal(*STORY))
    assert compacted(once) == once


def test_entry_that_was_joined_is_named_again_so_that_what_a_crash_left_behind_it_goes():
    entries = journal(*STORY)
    made = rewritten(entries)
    half_done = [made[0], *entries[made[0].last_seq :]]
    assert rewritten(applied(entries, made)) == made
    assert half_done[0].first_seq in [entry.first_seq for entry in rewritten(half_done)]


def test_nothing_goes_where_the_next_owner_wrote_nothing():
    """It may have read the end of the journal at any time, and wake up with that number."""
    epochs = [1, 1, 1, 1, 3, 3, 3]
    entries = journal(*STORY, epochs=epochs)
    assert [e.first_seq for e in compacted(entries, present=3)] == [e.first_seq for e in entries]
    epochs = [1, 1, 1, 1, 2, 2, 2]
    entries = journal(*STORY, epochs=epochs)
    assert [e.first_seq for e in compacted(entries, present=2)] == [1, 5, 7, 8, 9]
    assert [e.first_seq for e in compacted(entries, present=4)] == [1, 5, 7, 8, 9]


@dataclass
class History:
    """A journal, and the numbers at which writers that lost the run may still try to write."""

    entries: list[Entry]
    present: int
    tries: set[int]


@st.composite
def histories(draw: st.DrawFn, run: Run = RUN) -> History:
    """Owners come one after another. Each reads the end of the journal once, at any time after its claim, while
    the owner before it may still write; it may die before its first entry."""
    entries: list[Entry] = [make_entry(run, StepStarted(step=0), first_seq=1, epoch=0)]
    tries: set[int] = set()
    owners = draw(st.integers(1, 4))
    for epoch in range(1, owners + 1):
        head = entries[-1].last_seq
        batches = draw(st.lists(st.lists(_events(), min_size=1, max_size=3), min_size=epoch == owners, max_size=6))
        for events in batches:
            entries.append(make_entry(run, *events, first_seq=entries[-1].last_seq + 1, epoch=epoch))
        if not batches:
            # It claimed while the one before it wrote, and read the end then.
            late = [e for e in entries if e.epoch == max(e.epoch for e in entries)]
            tries.add(draw(st.sampled_from(late)).first_seq)
            tries.add(head + 1)
        tries.add(entries[-1].last_seq + 1)
    entries.append(make_entry(run, END, first_seq=entries[-1].last_seq + 1, epoch=owners))
    return History(entries, owners, {number for number in tries if number <= entries[-1].last_seq})


def _events() -> st.SearchStrategy[Event]:
    texts = st.lists(st.text(max_size=3), min_size=1, max_size=4).map(tuple)
    deltas = st.builds(
        Deltas,
        of=st.sampled_from(["content", "reasoning"]),
        step=st.just(1),
        message_id=st.sampled_from("ab"),
        contents=texts,
        sizes=st.none(),
    )
    other = st.sampled_from([StepStarted(step=1), ContentReset(message_id="a")])
    return st.one_of(deltas, deltas, deltas, other)


@given(history=histories())
@settings(max_examples=100, deadline=None)
def test_no_writer_that_lost_the_run_finds_its_number_free(history: History):
    there = {entry.first_seq: entry.epoch for entry in history.entries}
    left = {entry.first_seq: entry.epoch for entry in compacted(history.entries, present=history.present)}
    for number in history.tries:
        assert left[number] == there[number]


@given(history=histories(), data=st.data())
@settings(max_examples=100, deadline=None)
def test_readers_get_every_id_and_every_text_from_wherever_they_are(history: History, data: st.DataObject):
    made = compacted(history.entries, present=history.present)
    head = history.entries[-1].last_seq
    whole = Reader().take(read(history.entries, 0))
    assert Reader().take(read(made, 0)).texts == whole.texts
    after = data.draw(st.integers(0, head - 1))
    early = [item for item in read(history.entries, 0) if item["seq"] <= after]
    assert Reader().take(early).take(read(made, after)).texts == whole.texts
    assert all(entry.first_seq == before.last_seq + 1 for before, entry in pairwise(made))
