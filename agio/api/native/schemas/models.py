"""Stored models on the wire."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from agio.api.native.schemas.agents import leave_defaults_out
from agio.api.native.schemas.common import Body, Instant, View, check_json

ModelName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:@+-]*(/[A-Za-z0-9][A-Za-z0-9 ._:@+-]*)*$",
        description="What agents call it. May hold `/`.",
        examples=["team/precise"],
    ),
]
KeyName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[ -~]*\S[ -~]*$", examples=["openai_key"])]
_EXAMPLE: dict[str, Any] = {
    "name": "team/precise",
    "provider": "openai",
    "model": "gpt-4o",
    "api_key_name": "openai_key",
    "parameters": {"temperature": 0.1, "max_tokens": 2000},
}


class Parameters(Body):
    """What the model is asked with, unless an agent says otherwise; further members go into the request as they are."""

    model_config = ConfigDict(extra="allow", strict=True)

    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1, le=10_000_000)

    def to_stored(self) -> dict[str, Any]:
        """Return what was given."""
        given: dict[str, Any] = check_json(self.model_dump(exclude_unset=True))
        return {
            name: value for name, value in given.items() if value is not None or name not in type(self).model_fields
        }


class ModelFields(Body):
    """Everything of a stored model but its name."""

    provider: Annotated[str, Field(min_length=1, max_length=100, examples=["openai"])]
    model: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S", examples=["gpt-4o"])]
    api_key_name: KeyName | None = Field(
        default=None,
        description="Name of the stored key that it is called with; left out: whichever fits the provider.",
    )
    parameters: Parameters = Field(default_factory=Parameters)


class ModelBody(ModelFields):
    """A new stored model."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: ModelName

    def to_stored(self) -> dict[str, Any]:
        """Return the domain's fields."""
        rest = {"provider": self.provider, "model": self.model, "api_key_name": self.api_key_name}
        return {"id": self.name, **rest, "parameters": self.parameters.to_stored()}


class ModelChanges(ModelFields):
    """What shall become different; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra=leave_defaults_out)

    provider: str = Field(default_factory=str, min_length=1, max_length=100)
    model: str = Field(default_factory=str, min_length=1, max_length=200, pattern=r"\S")

    def to_changes(self) -> dict[str, Any]:
        """Return what was given, and nothing else."""
        changes = {name: getattr(self, name) for name in self.model_fields_set}
        return changes | ({"parameters": self.parameters.to_stored()} if "parameters" in changes else {})


class ModelView(View):
    """A stored model."""

    id: str = Field(description="The name.")
    name: str
    provider: str
    model: str = Field(description="What the provider calls it.")
    api_key_name: str | None
    parameters: dict[str, Any]
    group_id: str
    created_by: str
    created_at: Instant
    updated_at: Instant
