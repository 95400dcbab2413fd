"""Prompt templates on the wire."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from agio.api.native.schemas.agents import Name, ShortText, leave_defaults_out
from agio.api.native.schemas.common import Body, Instant, View
from agio.domain.templates import Template

Text = Annotated[
    str,
    Field(
        min_length=1,
        max_length=200_000,
        description="`{name}` stands for the variable of that name; other braces are text.",
        examples=["Greet {customer} in {language}."],
    ),
]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$", examples=["customer"])]
_EXAMPLE: dict[str, Any] = {
    "name": "greeting",
    "template": "Greet {customer} in {language}.",
    "variables": ["customer", "language"],
}


class TemplateBody(Body):
    """A new template."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    name: Name
    template: Text
    variables: list[Variable] | None = Field(
        default=None,
        max_length=100,
        description="Those in the text's braces, all of them; left out: as they stand there.",
    )
    description: ShortText = ""


class TemplateChanges(TemplateBody):
    """What shall become different; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra=leave_defaults_out)

    name: Name = Field(default_factory=str)
    template: Text = Field(default_factory=str)

    def to_changes(self) -> dict[str, Any]:
        """Return what was given, and nothing else."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        if "template" in given:
            given["text"] = given.pop("template")
        if given.get("variables") is None:
            given.pop("variables", None)
        else:
            given["variables"] = tuple(given["variables"])
        return given


class TemplateView(View):
    """A template."""

    id: str
    name: str
    template: str
    variables: list[str]
    description: str
    group_id: str
    created_by: str
    created_at: Instant
    updated_at: Instant


def view_template(template: Template) -> TemplateView:
    """Return a template as it stands on the wire."""
    return TemplateView(
        id=template.id,
        name=template.name,
        template=template.text,
        variables=list(template.variables),
        description=template.description,
        group_id=template.group_id,
        created_by=template.created_by,
        created_at=template.created_at,
        updated_at=template.updated_at,
    )
