"""Every event, message and checkpoint comes back as it was written, inline or in chunks."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agio.domain.events import EVENT_TYPES, Deltas, Event, MessageCompleted, StepStarted, ToolCallCompleted
from agio.domain.journal import Entry, unfold
from agio.domain.messages import ToolCall
from agio.storage.port import Store
from agio.testing.conformance.fixtures import OpenStore
from agio.testing.conformance.records import Owner, make_deltas, make_message, start
from agio.testing.conformance.strategies import Draft, drafts, events

EXAMPLES = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class TestRoundTrip:
    @pytest.fixture
    async def owner(self, store: Store, group: str) -> Owner:
        """The owner of a run; the examples of one test share it."""
        return await start(store, group)

    @pytest.fixture
    async def chunking(self, open_store: OpenStore, group: str) -> Owner:
        """The owner of a run in a store that puts next to everything into chunks."""
        return await start(await open_store(16), group)

    @pytest.mark.parametrize("kind", sorted(EVENT_TYPES))
    @given(data=st.data())
    @settings(EXAMPLES, max_examples=5)
    async def test_events_of_every_type_come_back(self, owner: Owner, kind: str, data: st.DataObject) -> None:
        wanted: list[Event] = data.draw(st.lists(events(kind), min_size=1, max_size=4))
        got = await _append(owner, Draft(events=tuple(wanted)))
        assert [event for _, event in unfold(got)] == wanted

    @given(draft=drafts())
    @EXAMPLES
    async def test_whole_entries_come_back(self, owner: Owner, draft: Draft) -> None:
        await _append(owner, draft)

    @given(draft=drafts())
    @EXAMPLES
    async def test_whole_entries_come_back_from_chunks(self, chunking: Owner, draft: Draft) -> None:
        await _append(chunking, draft)

    async def test_chunks_are_read_whatever_the_limit_is_now(
        self, chunking: Owner, open_store: OpenStore, group: str
    ) -> None:
        (message,) = await chunking.say("long enough to be in a chunk", checkpoint="step")
        for limit in (16, 10**9):
            later = await open_store(limit)
            entries = await later.read_entries(group, chunking.run.id)
            assert [m for entry in entries for m in entry.messages] == [message]
            assert await later.read_messages(group, chunking.run.branch_id) == [message]
            assert (await later.list_checkpoints(group, chunking.run.id)).total == 1

    async def test_own_entry_in_chunks_again_is_taken_for_done(self, chunking: Owner, group: str) -> None:
        append = chunking.write(messages=(make_message("long enough to be in a chunk"),), step=1)
        for _ in range(2):
            await chunking.store.append([append])
        assert len(await chunking.store.read_messages(group, chunking.run.branch_id)) == 1

    @pytest.mark.parametrize("shift", range(3))
    async def test_letters_that_straddle_chunks_come_back(self, owner: Owner, group: str, shift: int) -> None:
        (message,) = await owner.say("x" * shift + "€" * 400_000)
        assert await owner.store.read_messages(group, owner.run.branch_id) == [message]

    async def test_parts_may_be_larger_than_one_document(self, owner: Owner, group: str) -> None:
        text = "0123456789abcdef" * 1_100_000
        message = make_message(text, role="assistant")
        done = MessageCompleted(step=1, message_id=message.id, role="assistant")
        deltas = make_deltas(text, text[::-1])
        got = await _append(owner, Draft(events=(deltas, done), messages=(message,)), whole=False)
        assert await owner.store.read_messages(group, owner.run.branch_id) == [message]
        (_, first), (_, second) = unfold(got)
        assert first == deltas
        assert isinstance(second, MessageCompleted)
        assert second.content == text

    async def test_equal_large_parts_of_two_runs_are_both_there(self, open_store: OpenStore, group: str) -> None:
        store = await open_store(100)
        message = make_message("same " * 100)
        for at_s in range(2):
            one = await start(store, group, at_s=at_s)
            await one.append(messages=(message,))
            assert await store.read_messages(group, one.run.branch_id) == [message]

    async def test_unfolding_puts_back_what_the_messages_say(self, owner: Owner) -> None:
        call = ToolCall(id="call-1", name="search", arguments='{"q": "sky"}')
        asked = make_message("", role="assistant", tool_calls=(call,))
        told = make_message("blue", role="tool", tool_call_id="call-1", name="search")
        stored = (
            MessageCompleted(step=1, message_id=asked.id, role="assistant"),
            ToolCallCompleted(step=1, tool_call_id="call-1", name="search", duration_ms=3),
        )
        got = await _append(owner, Draft(events=stored, messages=(asked, told)), whole=False)
        (_, message), (_, tool) = unfold(got)
        assert message == replace(
            stored[0],
            content="",
            tool_calls=[{"id": "call-1", "name": "search", "arguments": '{"q": "sky"}'}],
        )
        assert tool == replace(stored[1], result="blue")

    async def test_unfolded_numbers_count_every_token(self, owner: Owner) -> None:
        compacted = Deltas(of="content", step=1, message_id="m", contents=("abc",), sizes=(1, 0, 2))
        got = await _append(owner, Draft(events=(make_deltas("a", "b"), compacted, StepStarted(step=2))))
        assert [seq for seq, _ in unfold(got)] == [2, 4, 7]
        assert got.last_seq == 7


async def _append(owner: Owner, draft: Draft, *, whole: bool = True) -> Entry:
    """Append an entry, read it back, check it, and return it."""
    store, run = owner.store, owner.run
    append = owner.write(*draft.events, messages=draft.messages, checkpoint=draft.kind, about=draft.about)
    wanted = append.entry
    await store.append([append])
    got = (await store.read_entries(run.group_id, run.id, after=wanted.first_seq - 1))[0]
    assert replace(got, events=()) == replace(wanted, events=())
    if whole:
        assert list(unfold(got)) == list(unfold(wanted))
    if wanted.position is not None:
        messages = await store.read_messages(run.group_id, run.branch_id)
        assert messages[wanted.position :] == list(wanted.messages)
    if wanted.checkpoint is not None:
        assert await store.get_checkpoint(run.group_id, wanted.checkpoint.id) == wanted.checkpoint
    return got
