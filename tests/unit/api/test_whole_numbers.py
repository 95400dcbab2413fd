"""Numbers: to JSON Schema `4.0` is a whole number."""

import pytest
from pydantic import ValidationError

from agio.api.native.schemas.runs import ChatBody
from agio.api.protocols.kawai.shapes import ChatBody as KawaiBody


def test_whole_number_with_a_point_is_one_on_every_wire():
    assert ChatBody(agent_id="a", message="m", max_steps=4.0).max_steps == 4  # type: ignore[arg-type]
    assert KawaiBody(message="m", max_steps=4.0).max_steps == 4  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        KawaiBody(message="m", max_steps=4.5)  # type: ignore[arg-type]
