"""Event streams, cut anywhere."""

import pytest

from agio.providers import stream_lines
from agio.providers.stream_lines import DataLines, LineTooLong


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_payloads_are_the_same_however_the_stream_is_cut(end: bytes, size: int):
    stream = end.join(
        [b": comment", b"event: x", b'data: {"a": "\xc3\xa4\xe2\x82\xac"}', b"", b"data:{}", b"data: [DONE]", b"", b""]
    )
    lines = DataLines()
    found = [payload for at in range(0, len(stream), size) for payload in lines.feed(stream[at : at + size])]
    assert found == ['{"a": "ä€"}'.encode(), b"{}", b"[DONE]"]


def test_last_line_without_end_comes_with_the_flush():
    lines = DataLines()
    assert lines.feed(b"data: 1\ndata: 2") == [b"1"]
    assert lines.flush() == [b"2"]
    assert lines.flush() == []


def test_line_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stream_lines, "_LINE_LIMIT", 10)
    lines = DataLines()
    lines.feed(b"data: 1234")
    with pytest.raises(LineTooLong):
        lines.feed(b"5")
