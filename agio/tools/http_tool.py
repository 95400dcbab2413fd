"""Tools of type `http`: a stored request template becomes a working tool."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from urllib.parse import urlencode

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from agio.domain.errors import Invalid, ToolError
from agio.domain.tools import StoredTool
from agio.tools.base import Tool, ToolContext
from agio.tools.net import GuardedClient, WebRequest
from agio.tools.template import UrlTemplate, fill_json, fill_text, find_placeholders, to_text

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_OUR_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "host",
        "idempotency-key",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_FORM = "application/x-www-form-urlencoded"
PLAIN_HEADERS = frozenset({"accept", "accept-language", "content-type", "user-agent"})
"""Headers that hold no credentials; the values of others are never shown."""
_SECRET_CHARS = 8
"""A shorter piece of a header's value is hardly a credential, and would blot out ordinary words."""


class HttpConfiguration(BaseModel):
    """The configuration of an `http` tool. `{name}` stands for the argument of that name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(max_length=8192, description="Placeholders may stand in the path and in query values.")
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    headers: dict[str, str] = Field(default_factory=dict, description="Placeholders may stand in the values.")
    body: dict[str, Any] | list[Any] | str | None = Field(
        default=None,
        description="JSON, or a text that is JSON. A text that is one placeholder becomes the argument itself, "
        f"with its type. Sent as a form when the header Content-Type is {_FORM}.",
    )
    idempotent: bool | None = Field(
        default=None, description="May be repeated after a crash; default: yes for GET and HEAD."
    )
    timeout_s: float = Field(default=30.0, gt=0, le=600, description="Seconds for the whole call.")

    @field_validator("method", mode="before")
    @classmethod
    def _fold_method(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value


CONFIGURATION_SCHEMAS: dict[str, dict[str, Any]] = {"http": HttpConfiguration.model_json_schema()}
"""JSON Schema of the configuration of each type of stored tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _RequestTemplate:
    """A checked configuration."""

    configuration: HttpConfiguration
    url: UrlTemplate
    body: Any
    is_form: bool

    @property
    def placeholders(self) -> dict[str, str]:
        """Every placeholder, and the field where it stands first."""
        fields = {
            "url": self.url.placeholders,
            "headers": find_placeholders(self.configuration.headers),
            "body": find_placeholders(self.body),
        }
        found: dict[str, str] = {}
        for field, names in fields.items():
            for name in names:
                found.setdefault(name, f"configuration.{field}")
        return found

    def fill(self, arguments: Mapping[str, Any], idempotency_key: str) -> WebRequest:
        """Raises ToolError (`invalid_arguments`) when a value does not fit its place."""
        headers = dict(_fill_headers(self.configuration.headers, arguments))
        headers["Idempotency-Key"] = idempotency_key
        content = None
        if self.body is not None:
            content, media_type = self._fill_body(arguments)
            if not any(name.lower() == "content-type" for name in headers):
                headers["Content-Type"] = media_type
        return WebRequest(
            url=self.url.fill(arguments), method=self.configuration.method, headers=headers, content=content
        )

    def _fill_body(self, arguments: Mapping[str, Any]) -> tuple[bytes, str]:
        filled = fill_json(self.body, arguments)
        if self.is_form:
            pairs = [(name, to_text(value)) for name, value in filled.items()]
            return urlencode(pairs, errors="replace").encode(), _FORM
        return json.dumps(filled, allow_nan=False).encode(), "application/json"


def validate_configuration(configuration: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """Check what the API is given for an `http` tool; the network policy is checked by each call.

    Raises:
        Invalid: `field` is `parameters`, `configuration` or `configuration.<name>`.
    """
    _check_parameters(_parse(configuration), parameters)


def make_http_tool(stored: StoredTool, client: GuardedClient) -> Tool:
    """Make the tool that a record describes.

    Raises:
        Invalid: as `validate_configuration`.
    """
    template = _parse(stored.configuration)
    parameters = _check_parameters(template, stored.parameters)
    configuration = template.configuration
    is_safe = configuration.method in _SAFE_METHODS

    hide = _hider(configuration.headers)

    async def call(context: ToolContext, arguments: dict[str, Any]) -> str:
        request = template.fill(arguments, context.idempotency_key)
        answer = await client.send(request, timeout_s=configuration.timeout_s)
        try:
            return hide(answer.expect_text())
        except ToolError as error:
            raise ToolError(hide(str(error)), code=error.code) from None

    return Tool(
        name=stored.name,
        description=stored.description,
        parameters=parameters,
        call=call,
        idempotent=is_safe if configuration.idempotent is None else configuration.idempotent,
        requires_approval=stored.requires_approval,
        side_effects=not is_safe,
        timeout_s=configuration.timeout_s,
        source="api",
    )


def _hider(headers: Mapping[str, str]) -> Callable[[str], str]:
    """Return what takes the tool's own credentials out of an answer: some services send a request's headers back."""
    pieces = {
        piece
        for name, value in headers.items()
        if name.lower() not in PLAIN_HEADERS
        for piece in (value, *re.split(r"[\s;,=]+", value))
    }
    secrets = {piece for piece in pieces if len(piece) >= _SECRET_CHARS and not any(find_placeholders(piece))}
    if not secrets:
        return lambda text: text
    pattern = re.compile("|".join(map(re.escape, sorted(secrets, key=len, reverse=True))))
    return lambda text: pattern.sub("***", text)


def http_tool_maker(client: GuardedClient) -> Callable[[StoredTool], Tool]:
    """Bind `make_http_tool` to a client, for `ToolRegistry(makers={"http": ...})`."""
    return partial(make_http_tool, client=client)


def _parse(configuration: Mapping[str, Any]) -> _RequestTemplate:
    try:
        parsed = HttpConfiguration.model_validate(configuration)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(["configuration", *map(str, problem["loc"][:1])])
        raise Invalid(f"{where}: {problem['msg']}", field=where) from error
    try:
        url = UrlTemplate.parse(parsed.url)
        httpx.URL(url.origin)
    except (ValueError, httpx.InvalidURL) as error:
        raise Invalid(str(error), field="configuration.url") from error
    _check_headers(parsed.headers)
    media_type = next((text for name, text in parsed.headers.items() if name.lower() == "content-type"), "")
    is_form = media_type.partition(";")[0].strip().lower() == _FORM
    body = _parse_body(parsed, is_form)
    return _RequestTemplate(configuration=parsed, url=url, body=body, is_form=is_form)


def _parse_body(configuration: HttpConfiguration, is_form: bool) -> Any:
    body = configuration.body
    if body is None:
        return None
    field = "configuration.body"
    if configuration.method in _SAFE_METHODS:
        raise Invalid(f"A {configuration.method} request has no body.", field=field)
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError) as error:
            message = "The body must be JSON, with placeholders inside its texts."
            raise Invalid(message, field=field) from error
    if is_form and not isinstance(body, dict):
        raise Invalid("The body of a form must be an object.", field=field)
    try:
        json.dumps(body, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid("The body must be JSON.", field=field) from error
    return body


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise Invalid(f"{name!r} is not the name of a header.", field="configuration.headers")
        if name.lower() in _OUR_HEADERS:
            raise Invalid(f"The header {name!r} cannot be set.", field="configuration.headers")
        if not _HEADER_VALUE.fullmatch(value):
            message = f"The header {name!r} must be printable ASCII on one line."
            raise Invalid(message, field="configuration.headers")


def _fill_headers(headers: Mapping[str, str], arguments: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, template in headers.items():
        value = fill_text(template, arguments)
        if value is None:
            continue
        if not _HEADER_VALUE.fullmatch(value):
            names = ", ".join(map(repr, find_placeholders(template)))
            message = f"Argument {names} must be printable ASCII on one line."
            raise ToolError(message, code="invalid_arguments")
        yield name, value


def _check_parameters(template: _RequestTemplate, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema: the given one, or one in which every placeholder is a text that must be given."""
    placeholders = template.placeholders
    if not parameters:
        return {
            "type": "object",
            "properties": {name: {"type": "string"} for name in placeholders},
            "required": list(placeholders),
            "additionalProperties": False,
        }
    properties = parameters.get("properties", {})
    required = parameters.get("required", [])
    if parameters.get("type", "object") != "object" or not isinstance(properties, Mapping):
        raise Invalid("The parameters must be the JSON Schema of an object.", field="parameters")
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise Invalid("`required` must be a list of names.", field="parameters")
    for name, field in placeholders.items():
        if name not in properties:
            raise Invalid(f"The placeholder {{{name}}} is not among the parameters.", field=field)
    for name in template.url.path_placeholders:
        if name not in required:
            message = f"The parameter {name!r} stands in the URL's path, so it must be required."
            raise Invalid(message, field="parameters")
    return {"type": "object", **parameters}
