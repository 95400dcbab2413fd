"""The union of events is complete, and every event survives its stored form."""

import inspect
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agio.domain import events as module
from agio.domain.events import EVENT_TYPES, TERMINAL_EVENTS, Event, RunPaused, StepCompleted, fields_of
from agio.domain.metrics import Usage
from agio.domain.status import TERMINAL
from agio.storage.codec import load_events
from agio.testing.conformance.strategies import events

KINDS = sorted(EVENT_TYPES)


def test_every_event_of_the_module_is_in_the_union():
    classes = {
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module.__name__ and is_dataclass(cls)
    }
    assert classes == set(get_args(Event)) == set(EVENT_TYPES.values())


def test_names_on_the_wire_are_unique():
    assert len(EVENT_TYPES) == len(get_args(Event))
    assert all(cls.type == kind for kind, cls in EVENT_TYPES.items())


def test_one_terminal_event_for_each_way_to_end():
    assert {cls.type for cls in TERMINAL_EVENTS} == {f"run_{status}" for status in TERMINAL}


@pytest.mark.parametrize("kind", KINDS)
def test_event_has_no_field_named_type(kind: str):
    """`type` stands for the event itself in its stored form."""
    assert "type" not in {field.name for field in fields(EVENT_TYPES[kind])}


@pytest.mark.parametrize("kind", KINDS)
def test_field_that_may_be_none_has_none_as_its_default(kind: str):
    """What is None is left out of the stored form, so it must be there again without being named."""
    cls = EVENT_TYPES[kind]
    hints = get_type_hints(cls)
    for field in fields(cls):
        hint = hints[field.name]
        if hint is Any or NoneType in get_args(hint):
            assert field.default is None, field.name
        else:
            assert field.default is MISSING, field.name


def test_fields_of_leaves_out_what_is_none():
    assert fields_of(RunPaused(by="ann", checkpoint_id=None)) == {"by": "ann"}


def test_fields_of_keeps_what_is_merely_empty():
    event = StepCompleted(step=0, usage=Usage(), duration_ms=0)
    assert fields_of(event) == {"step": 0, "usage": Usage(), "duration_ms": 0}


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_event_survives_its_stored_form(kind: str, data: st.DataObject):
    event = data.draw(events(kind))
    text = msgspec.json.encode([{"type": event.type, **fields_of(event)}]).decode()
    assert load_events(text) == (event,)
