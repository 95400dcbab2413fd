"""A run's text for listeners who cannot take anything back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.api.speech import Speech

WORDS = st.lists(st.text("abc ", min_size=1, max_size=3), max_size=6)


def _hear(*said: tuple[str, str] | str) -> str:
    """What a listener has after `(message, text)` pieces and resets (a message's id alone)."""
    speech, heard = Speech(), ""
    for piece in said:
        if isinstance(piece, str):
            speech.reset(piece)
        else:
            heard += speech.say(*piece)
    return heard


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ([("m", "Hel"), ("m", "lo")], "Hello"),
        ([("m", "Let me see."), ("n", "It is 2.")], "Let me see.\n\nIt is 2."),
        ([("m", "Hel"), "m", ("n", "Hel"), ("n", "lo")], "Hello"),
        ([("m", "Hel"), "m", ("n", "He"), ("n", "llo there")], "Hello there"),
        ([("m", "Hel"), "m", ("n", "H"), ("n", "i"), ("n", "!")], "Hel\n\nHi!"),
        ([("m", "Hel"), "m", ("n", "He"), "n", ("o", "Hell"), ("o", "o")], "Hello"),
        ([("m", "a"), ("n", "b"), "n", ("o", "b"), ("o", "c")], "a\n\nbc"),
        ([("m", "a"), "x", ("m", "b")], "ab"),
        (["m", ("n", "a")], "a"),
        ([("m", "a"), "m"], "a"),
    ],
)
def test_nothing_is_said_twice(said: list[tuple[str, str] | str], heard: str):
    assert _hear(*said) == heard


@given(words=WORDS, cuts=st.lists(st.integers(0, 6), max_size=4))
def test_message_that_is_cut_off_and_said_again_is_heard_once(words: list[str], cuts: list[int]):
    said: list[tuple[str, str] | str] = []
    for attempt, cut in enumerate(cuts):
        said += [*((f"m{attempt}", word) for word in words[:cut]), f"m{attempt}"]
    said += [("last", word) for word in words]
    assert _hear(*said) == "".join(words)
