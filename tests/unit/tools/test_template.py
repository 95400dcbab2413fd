import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agio.domain.errors import ToolError
from agio.tools.template import UrlTemplate, fill_json, fill_text, find_placeholders


def test_placeholders_are_found_wherever_there_is_text():
    template = {"{key}": ["{a}", {"b": "x {b} {a}"}], "c": 1, "d": "{ not } {1} {}"}
    assert list(find_placeholders(template)) == ["a", "b", "a"]


def test_json_value_that_is_a_placeholder_keeps_the_arguments_type():
    template = {"n": "{n}", "list": ["{n}", "{gone}", 1], "gone": "{gone}", "text": "n={n} of {names}{gone}"}
    filled = fill_json(template, {"n": 5, "names": ["a", "é"]})
    assert filled == {"n": 5, "list": [5, 1], "text": 'n=5 of ["a", "é"]'}
    assert fill_json("{gone}", {}) is None
    assert fill_json({"a": "{a}"}, {"a": None}) == {"a": None}


def test_text_is_absent_when_its_only_argument_is():
    assert fill_text("{a}", {}) is None
    assert fill_text("{a}", {"a": None}) is None
    assert fill_text("x{a}", {}) == "x"
    assert fill_text("{a}", {"a": True}) == "true"
    assert fill_text("plain", {}) == "plain"


def test_filled_text_is_not_filled_again():
    assert fill_text("{a} {b}", {"a": "{b}", "b": "secret"}) == "{b} secret"
    assert fill_json({"x": "{a}"}, {"a": "{b}", "b": "secret"}) == {"x": "{b}"}


def test_url_is_filled_in_path_and_query():
    url = UrlTemplate.parse(
        "https://api.test:8443/v1/{kind}/x-{id}?q={q}&n={n}&tag={tags}&fixed=1%20&flag&p={a}-{b}#end"
    )
    assert url.placeholders == ("kind", "id", "q", "n", "tags", "a", "b")
    filled = url.fill({"kind": "a/b c", "id": 7, "q": "x&y=z#?", "tags": ["1", "é"], "a": True, "b": 1.5})
    assert (
        filled == "https://api.test:8443/v1/a%2Fb%20c/x-7?q=x%26y%3Dz%23%3F&tag=1&tag=%C3%A9&fixed=1%20&flag&p=true-1.5"
    )


def test_url_without_path_or_arguments():
    assert UrlTemplate.parse("http://api.test").fill({}) == "http://api.test/"
    assert UrlTemplate.parse("http://api.test?q={q}").fill({}) == "http://api.test/"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ftp://api.test/", "must start with http"),
        ("/only/a/path", "must start with http"),
        ("https:///x", "must start with http"),
        ("{scheme}://api.test/", "must start with http"),
        ("https://{host}/", "path and query only"),
        ("https://api.test:{port}/", "path and query only"),
        ("https://{user}@api.test/", "path and query only"),
        ("https://user:pass@api.test/", "user name or a password"),
        ("https://api.test:99999/", "ort"),
        ("https://api.test:0/", "port must be"),
        ("https://api.test/?{name}=1", "not its name"),
        ("https://api.test/{not ok}", "must not hold spaces"),
        ("https://api.test/{not-ok}", "A placeholder is written"),
        ("https://api.test/?a={", "A placeholder is written"),
        ("https://api.test/\\x", "backslashes"),
        ("https://api.test/\r\nx", "control characters"),
        ("https://[::1/", "Invalid IPv6"),
    ],
)
def test_wrong_templates_are_refused(text: str, message: str):
    with pytest.raises(ValueError, match=message):
        UrlTemplate.parse(text)


@pytest.mark.parametrize("value", ["", None, ".", "..", "../admin", "a/../b", "..\\admin", "a/."])
def test_value_cannot_climb_out_of_its_path(value: Any):
    url = UrlTemplate.parse("https://api.test/users/{id}/posts")
    with pytest.raises(ToolError, match="Argument 'id'") as caught:
        url.fill({"id": value})
    assert caught.value.code == "invalid_arguments"


def test_text_around_a_placeholder_does_not_make_dots():
    with pytest.raises(ToolError, match="Argument 'a'"):
        UrlTemplate.parse("https://api.test/.{a}").fill({"a": "."})
    with pytest.raises(ToolError, match="Argument 'a'"):
        UrlTemplate.parse("https://api.test/{a}..").fill({"a": "x/"})
    assert UrlTemplate.parse("https://api.test/a{b}").fill({"b": "..c"}) == "https://api.test/a..c"


scalars = st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)


@settings(deadline=None)  # the machine may be busy
@given(first=scalars, second=scalars, query=scalars)
def test_no_value_changes_the_structure_of_a_url(first: Any, second: Any, query: Any):
    template = UrlTemplate.parse("https://api.test/v1/{a}/x-{b}/end?q={q}&fixed=1")
    try:
        filled = urlsplit(template.fill({"a": first, "b": second, "q": query}))
    except ToolError as error:
        assert error.code == "invalid_arguments"  # noqa: PT017 - it may also pass
        return
    assert (filled.scheme, filled.netloc, filled.fragment) == ("https", "api.test", "")
    segments = filled.path.split("/")
    assert (segments[1], segments[4], len(segments)) == ("v1", "end", 5)
    assert unquote(segments[2]) == (first if isinstance(first, str) else json.dumps(first))
    assert not {".", ".."} & {unquote(segment) for segment in segments}
    pairs = parse_qsl(filled.query, keep_blank_values=True)
    assert pairs == [("q", query if isinstance(query, str) else json.dumps(query)), ("fixed", "1")]


@settings(deadline=None)  # the machine may be busy
@given(value=st.recursive(scalars | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_no_value_changes_the_structure_of_a_body(value: Any):
    template = {"user": {"name": "{value}", "role": "guest"}, "greeting": "Hello {value}!"}
    sent = json.loads(json.dumps(fill_json(template, {"value": value})))
    assert sent.keys() == {"user", "greeting"}
    assert sent["user"] == {"name": value, "role": "guest"}
    assert isinstance(sent["greeting"], str)
