"""Entries: what is left out of their stored form comes back."""

from dataclasses import replace

from hypothesis import given, settings

from agio.domain.events import Deltas, MessageCompleted, StepStarted, ToolCallCompleted, span
from agio.domain.journal import calls_as_wire, slim, unfold
from agio.domain.status import RunStatus
from agio.storage.codec import dump_entry, load_entry
from agio.testing.conformance.records import make_deltas, make_entry
from agio.testing.conformance.strategies import Draft, drafts
from tests.unit.domain.samples import answer, asks, result, run_in

RUN = run_in(RunStatus.RUNNING)
SAID = MessageCompleted(step=1, message_id="a", role="assistant", content="hello")
CALLED = ToolCallCompleted(step=1, tool_call_id="c", name="search", duration_ms=1, result="found")


class TestSlim:
    def test_message_that_the_entry_carries_is_left_out(self):
        assert slim(SAID, (answer("hello", "a"),)) == replace(SAID, content=None)

    def test_result_that_the_entry_carries_is_left_out(self):
        assert slim(CALLED, (result("c", "found"),)) == replace(CALLED, result=None)

    def test_what_other_messages_say_is_kept(self):
        others = (answer("hello", "other"), result("other", "found"))
        assert slim(SAID, others) is SAID
        assert slim(CALLED, others) is CALLED

    def test_other_events_are_kept(self):
        event = StepStarted(step=1)
        assert slim(event, (answer("hello", "a"),)) is event


class TestUnfold:
    def test_numbers_begin_with_the_entrys_and_count_every_token(self):
        compacted = Deltas(of="content", step=1, message_id="m", contents=("abcd",), sizes=(1, 2, 0, 1))
        events = (make_deltas("a", "b", "c"), StepStarted(step=2), compacted, StepStarted(step=3))
        entry = make_entry(RUN, *events, first_seq=5)
        assert [seq for seq, _ in unfold(entry)] == [5, 8, 9, 13]
        assert entry.last_seq == 13

    def test_message_with_calls_comes_back_as_on_the_wire(self):
        entry = make_entry(RUN, replace(SAID, message_id="asks"), first_seq=2, messages=(asks("c1"),))
        ((_, event),) = unfold(entry)
        calls = [{"id": "c1", "name": "search", "arguments": "{}"}]
        assert event == replace(SAID, message_id="asks", content="", tool_calls=calls)

    @given(draft=drafts())
    @settings(max_examples=60, deadline=None)
    def test_nothing_is_lost_by_leaving_out_and_putting_back(self, draft: Draft):
        entry = make_entry(RUN, *draft.events, first_seq=2, messages=draft.messages)
        slimmed = replace(entry, events=tuple(slim(event, entry.messages) for event in entry.events))
        assert list(unfold(slimmed)) == list(unfold(entry))

    @given(draft=drafts())
    @settings(max_examples=60, deadline=None)
    def test_nothing_is_lost_in_the_stored_form(self, draft: Draft):
        place = {"branch_id": "b", "position": 3} if draft.messages else {}
        entry = make_entry(RUN, *draft.events, first_seq=2, messages=draft.messages, **place)
        loaded = load_entry(dump_entry(entry))
        assert replace(loaded, events=()) == replace(entry, events=())
        assert list(unfold(loaded)) == list(unfold(entry))


def test_message_without_calls_has_none_on_the_wire():
    assert calls_as_wire(answer("x")) is None


def test_span_counts_tokens_and_what_compaction_took_in():
    assert [span(make_deltas("a", "b")), span(StepStarted(step=1))] == [2, 1]
    assert span(Deltas(of="reasoning", step=1, message_id="m", contents=("abc",), sizes=(1, 0, 2))) == 3
