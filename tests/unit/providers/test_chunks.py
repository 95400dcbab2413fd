"""Chunks as the vendors really send them."""

import json
from typing import Any

import pytest

from agio.domain.metrics import Usage
from agio.providers.base import FinishPart, ModelPart, ReasoningPart, TextPart, UsagePart
from agio.providers.chunks import ChunkReader, ErrorInStream, MalformedChunk
from tests.unit.providers.calls import calls_in


def read(*chunks: Any) -> list[ModelPart]:
    reader, parts = ChunkReader(), list[ModelPart]()
    for chunk in chunks:
        reader.read(chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode(), parts)
    return parts


def delta(finish_reason: str | None = None, index: int | None = 0, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": fields, "finish_reason": finish_reason}]}


def call(index: int | None = None, call_id: str | None = None, name: str | None = None, arguments: Any = None):
    function = {"name": name, "arguments": arguments}
    return {"index": index, "id": call_id, "type": "function", "function": function}


def test_text_finish_and_usage_of_a_standard_stream():
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_tokens_details": {}}
    parts = read(
        delta(role="assistant", content=""),
        delta(content="Hel"),
        delta(content="lo"),
        delta("stop"),
        {"choices": [], "usage": usage},
        b"[DONE]",
    )
    spent = Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
    assert parts == [TextPart("Hel"), TextPart("lo"), FinishPart("stop"), UsagePart(spent)]


@pytest.mark.parametrize(
    "fields",
    [{"reasoning_content": "hm"}, {"reasoning": "hm"}, {"reasoning_content": "hm", "reasoning": "hm"}],
)
def test_reasoning_is_read_once_under_either_name(fields: dict[str, Any]):
    assert read(delta(**fields)) == [ReasoningPart("hm")]


def test_mistral_content_parts_are_told_apart():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    parts = read(delta(content=[thinking, {"type": "text", "text": "Hello"}]))
    assert parts == [ReasoningPart("hm"), TextPart("Hello")]


def test_refusal_is_shown_as_text():
    assert read(delta(refusal="I cannot")) == [TextPart("I cannot")]


def test_pieces_of_parallel_calls_join_by_index():
    parts = read(
        delta(tool_calls=[call(0, "a", "add", "")]),
        delta(tool_calls=[call(0, None, None, '{"x":')]),
        delta(tool_calls=[call(1, "b", "sub", "")]),
        delta(tool_calls=[call(0, None, None, "1}"), call(1, None, None, "{}")]),
    )
    assert calls_in(parts) == {0: ("a", "add", '{"x":1}'), 1: ("b", "sub", "{}")}


def test_call_in_one_piece_without_an_index_is_accepted():
    parts = read(delta(tool_calls=[call(None, "a", "add", "{}")]), delta(tool_calls=[call(None, "b", "add", "{}")]))
    assert calls_in(parts) == {0: ("a", "add", "{}"), 1: ("b", "add", "{}")}


def test_arguments_without_index_and_id_continue_the_last_call():
    parts = read(delta(tool_calls=[call(None, "a", "add", '{"x"')]), delta(tool_calls=[call(None, "", None, ":1}")]))
    assert calls_in(parts) == {0: ("a", "add", '{"x":1}')}


def test_parallel_calls_that_all_have_index_zero_stay_apart():
    parts = read(delta(tool_calls=[call(0, "a", "add", '{"x":1}'), call(0, "b", "add", '{"x":2}')]))
    assert calls_in(parts) == {0: ("a", "add", '{"x":1}'), 1: ("b", "add", '{"x":2}')}


def test_name_repeated_in_every_piece_is_given_once():
    parts = read(delta(tool_calls=[call(0, "a", "add", "")]), delta(tool_calls=[call(0, "a", "add", "{}")]))
    assert calls_in(parts) == {0: ("a", "add", "{}")}


def test_call_without_id_gets_one():
    calls = calls_in(read(delta(tool_calls=[call(0, "", "add", "{}")])))
    assert calls[0][0].startswith("call_")  # type: ignore[union-attr]


def test_arguments_sent_as_object_become_text():
    assert calls_in(read(delta(tool_calls=[call(0, "a", "add", {"x": "ä"})])))[0][2] == '{"x": "ä"}'


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("stop", "stop"), ("length", "length"), ("model_length", "length"), ("content_filter", "content_filter")],
)
def test_finish_reasons(reason: str, expected: str):
    assert read(delta(reason)) == [FinishPart(expected)]


def test_stop_after_tool_calls_means_tool_calls_and_comes_once():
    parts = read(delta(tool_calls=[call(0, "a", "add", "{}")]), delta("stop"), delta("stop"))
    assert parts[1:] == [FinishPart("tool_calls")]


def test_other_choices_are_left_out():
    assert read(delta(content="no", index=1)) == []


def test_whole_message_is_read_like_a_delta():
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    assert read({"choices": [choice]}) == [TextPart("Hi"), FinishPart("stop")]


def test_openrouter_cost_is_kept():
    parts = read({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "cost": 0.25}})
    assert parts == [UsagePart(Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3, cost=0.25))]


@pytest.mark.parametrize("chunk", [{"error": {"message": "no"}}, delta("error")])
def test_error_instead_of_a_chunk_is_raised(chunk: dict[str, Any]):
    with pytest.raises(ErrorInStream):
        read(chunk)


@pytest.mark.parametrize("payload", [b"{", b"<html>", b"[]", b'{"choices": 1}', b'{"choices": [{"delta": "\xff"}]}'])
def test_what_is_no_chunk_is_refused(payload: bytes):
    with pytest.raises(MalformedChunk):
        read(payload)


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"choices": null, "error": null}', b'{"type": "ping"}'])
def test_chunks_that_say_nothing_are_passed_over(payload: bytes):
    assert read(payload) == []
