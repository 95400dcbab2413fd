import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agio.domain.errors import ToolError
from agio.tools.schema import check_arguments

CITY = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 5},
        "size": {"type": "integer", "minimum": 1, "exclusiveMaximum": 10},
        "kind": {"enum": ["old", "new", 1]},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "where": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]},
        "note": {"type": ["string", "null"]},
        "id": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "never": False,
    },
    "required": ["name"],
}


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "Rome"},
        {"name": "Rome", "size": 3.0, "kind": "old", "tags": ["a"], "where": {"lat": 1, "more": 2}},
        {"name": "Rome", "note": None, "id": 7},
    ],
)
def test_fitting_arguments_pass(arguments: dict[str, Any]):
    check_arguments(CITY, arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Argument 'name' is missing."),
        ({"name": 1}, "Argument 'name' must be of type string."),
        ({"name": ""}, "Argument 'name' must be at least 1 characters long."),
        ({"name": "Istanbul"}, "Argument 'name' must be at most 5 characters long."),
        ({"name": "Rome", "size": 1.5}, "Argument 'size' must be of type integer."),
        ({"name": "Rome", "size": True}, "Argument 'size' must be of type integer."),
        ({"name": "Rome", "size": 0}, "Argument 'size' must be at least 1."),
        ({"name": "Rome", "size": 10}, "Argument 'size' must be less than 10."),
        ({"name": "Rome", "kind": True}, "Argument 'kind' must be one of ['old', 'new', 1]."),
        ({"name": "Rome", "tags": ["a", 2]}, "Argument 'tags[1]' must be of type string."),
        ({"name": "Rome", "tags": ["a", "b", "c"]}, "Argument 'tags' must be a list of at most 2."),
        ({"name": "Rome", "where": {}}, "Argument 'where.lat' is missing."),
        ({"name": "Rome", "note": 1}, "Argument 'note' must be of type string or null."),
        ({"name": "Rome", "id": []}, "Argument 'id' fits none of the allowed forms."),
        ({"name": "Rome", "never": 1}, "Argument 'never' is not allowed."),
    ],
)
def test_each_broken_rule_is_named(arguments: dict[str, Any], message: str):
    with pytest.raises(ToolError, match="^" + message.replace("[", r"\[").replace("]", r"\]")) as caught:
        check_arguments(CITY, arguments)
    assert caught.value.code == "invalid_arguments"


def test_unknown_arguments_are_refused_unless_the_schema_says_otherwise():
    schema = {"type": "object", "properties": {"a": {}}}
    with pytest.raises(ToolError, match="'b' is unknown; known are: a"):
        check_arguments(schema, {"b": 1})
    check_arguments(schema | {"additionalProperties": True}, {"b": 1})
    check_arguments({"type": "object"}, {"b": 1})
    with pytest.raises(ToolError, match="'b' must be of type string"):
        check_arguments(schema | {"additionalProperties": {"type": "string"}}, {"b": 1})


def test_many_problems_make_a_short_message():
    with pytest.raises(ToolError) as caught:
        check_arguments({"properties": {"a": {}}}, {f"x{n}": 1 for n in range(1000)})
    assert len(str(caught.value)) < 1000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
keywords = st.sampled_from(
    ["type", "enum", "const", "anyOf", "properties", "required", "additionalProperties", "items", "minimum", "maxItems"]
)


@settings(deadline=None)  # the machine may be busy
@given(
    schema=st.dictionaries(keywords, st.recursive(json_values, lambda inner: st.dictionaries(keywords, inner))),
    arguments=st.dictionaries(st.text(max_size=3), json_values),
)
def test_no_schema_however_odd_makes_another_error(schema: dict[str, Any], arguments: dict[str, Any]):
    schema = json.loads(json.dumps(schema))
    try:
        check_arguments(schema, arguments)
    except ToolError as error:
        assert error.code == "invalid_arguments"  # noqa: PT017 - it may also pass
