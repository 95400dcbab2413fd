"""What Firefly's clients are told of a journal, and how their prompts are read."""

from typing import Any

import pytest
from pydantic import ValidationError

from agio.api.protocols.firefly.convert import DONE, closing, facts_of, failure_of, frames
from agio.api.protocols.firefly.shapes import RunBody
from agio.api.speech import Speech
from agio.domain import events as ev
from agio.domain.metrics import Metrics
from tests.unit.api.entries import entry
from tests.unit.domain.samples import run_in

SPENT = Metrics(steps=2, prompt_tokens=3, completion_tokens=4, total_tokens=7, duration_ms=5)
FAILED = ev.RunFailed(error={"code": "x", "message": "no"}, metrics=SPENT)
CANCELLED = ev.RunCancelled(by="ann", metrics=SPENT)


def _deltas(*contents: str, message_id: str = "m", of: Any = "content") -> ev.Deltas:
    return ev.Deltas(of=of, step=1, message_id=message_id, contents=contents)


def test_texts_are_frames_of_their_own():
    told = frames(entry(_deltas("Hel", "lö\u2028")), Speech())
    assert told == b'data: {"text":"Hel"}\n\ndata: {"text":"l\xc3\xb6\\u2028"}\n\n'


def test_reasoning_and_steps_are_not_told():
    assert frames(entry(_deltas("hm", of="reasoning"), ev.StepStarted(step=1)), Speech()) == b""


@pytest.mark.parametrize(
    ("end", "told", "failure"),
    [
        (ev.RunCompleted(response="a", metrics=SPENT), DONE, None),
        (FAILED, b'data: {"error":"no"}\n\n' + DONE, "no"),
        (CANCELLED, DONE, "the run was cancelled"),
    ],
)
def test_end_is_told(end: Any, told: bytes, failure: str | None):
    assert frames(entry(end), Speech()) == told
    assert failure_of(end) == failure


def test_stream_that_cannot_go_on_is_closed_in_order():
    assert closing("stops") == b'data: {"error":"stops"}\n\n' + DONE


def test_speech_goes_on_over_entries():
    speech = Speech()
    cut = frames(entry(_deltas("Hel"), ev.ContentReset(message_id="m")), speech)
    again = frames(entry(_deltas("Hello", message_id="n")), speech)
    assert (cut, again) == (b'data: {"text":"Hel"}\n\n', b'data: {"text":"lo"}\n\n')


def test_metadata_names_the_run_and_what_it_spent():
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "cost": None}
    about = facts_of(run_in("running"), FAILED)  # type: ignore[arg-type]  # a status by its text
    assert about == {"run_id": "r", "conversation_id": "s", "usage": usage, "steps": 2, "duration_ms": 5}


def test_prompt_of_parts_becomes_content():
    parts = [
        {"type": "text", "content": "what?"},
        {"type": "image_url", "content": "https://x.test/a.png"},
        {"type": "binary", "content": "AAAA", "media_type": "image/gif"},
    ]
    assert RunBody.model_validate({"prompt": parts}).to_content() == [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/gif;base64,AAAA"}},
    ]


@pytest.mark.parametrize("prompt", ["", "  ", [], [{"type": "video", "content": "x"}], 7, None, "x" * 1_000_001])
def test_bad_prompt_is_refused(prompt: Any):
    with pytest.raises(ValidationError):
        RunBody.model_validate({"prompt": prompt})


def test_unknown_members_are_passed_over():
    body = RunBody.model_validate({"prompt": "x", "deps": None, "conversation_id": None, "temperature": 1})
    assert (body.to_content(), body.deps) == ("x", None)
