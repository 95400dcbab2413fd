"""Templates with `{name}` in them, filled from arguments so that a value never becomes structure.

Each part of a request has its own filling: a value stays inside its path segment, its query value, its header line
or its JSON value, whatever it contains.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from agio.domain.errors import ToolError

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ABSENT = object()


def find_placeholders(template: Any) -> Iterator[str]:
    """Yield the names in a text, or in every text value of a JSON value."""
    if isinstance(template, str):
        yield from _PLACEHOLDER.findall(template)
    elif isinstance(template, Mapping):
        for value in template.values():
            yield from find_placeholders(value)
    elif isinstance(template, list):
        for value in template:
            yield from find_placeholders(value)


def fill_text(template: str, arguments: Mapping[str, Any]) -> str | None:
    """Fill a text; None when it consists of one placeholder whose argument is absent or null."""
    match = _PLACEHOLDER.fullmatch(template)
    if match and arguments.get(match[1]) is None:
        return None
    return _PLACEHOLDER.sub(lambda match: to_text(arguments.get(match[1])), template)


def fill_json(template: Any, arguments: Mapping[str, Any]) -> Any:
    """Fill a JSON value.

    A text that is one placeholder becomes the argument itself, with its type; with an absent argument its property
    or list item is left out. Placeholders inside a longer text become text. Property names are not filled.
    """
    filled = _fill_json(template, arguments)
    return None if filled is _ABSENT else filled


def _fill_json(template: Any, arguments: Mapping[str, Any]) -> Any:
    if isinstance(template, str):
        if match := _PLACEHOLDER.fullmatch(template):
            return arguments.get(match[1], _ABSENT)
        return _PLACEHOLDER.sub(lambda match: to_text(arguments.get(match[1])), template)
    if isinstance(template, Mapping):
        pairs = ((name, _fill_json(value, arguments)) for name, value in template.items())
        return {name: value for name, value in pairs if value is not _ABSENT}
    if isinstance(template, list):
        items = (_fill_json(value, arguments) for value in template)
        return [value for value in items if value is not _ABSENT]
    return template


def to_text(value: Any) -> str:
    """Say a JSON value as a person would: texts as they are, nothing for null, else JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlTemplate:
    """An `http` or `https` URL whose path segments and query values may hold placeholders."""

    origin: str
    """Scheme, host and port: fixed, so that no argument chooses who gets our headers."""
    path: tuple[str, ...]
    """Its segments, without the first slash."""
    query: tuple[tuple[str, str | None], ...]
    """Name and value; None: a name without `=`."""

    @classmethod
    def parse(cls, text: str) -> "UrlTemplate":
        """Read a template.

        Raises:
            ValueError: what is wrong with it, as a sentence.
        """
        if re.search(r"[\x00-\x20\x7f\\]", text):
            raise ValueError("The URL must not hold spaces, control characters or backslashes.")
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("The URL must start with http:// or https:// and a host.")
        if "{" in parts.netloc:
            raise ValueError("Placeholders may stand in the URL's path and query only.")
        if "@" in parts.netloc:
            raise ValueError("The URL must not hold a user name or a password; use a header.")
        if parts.port is not None and parts.port < 1:
            raise ValueError("The URL's port must be 1 to 65535.")
        pairs = tuple(_split_pair(pair) for pair in parts.query.split("&") if pair)
        if any(re.search(r"[{}]", name) for name, _ in pairs):
            raise ValueError("A placeholder may be the value of a query parameter, not its name.")
        if re.search(r"[{}]", _PLACEHOLDER.sub("", parts.path + parts.query)):
            raise ValueError("A placeholder is written {name}, with letters, digits and '_'.")
        path = tuple(parts.path.removeprefix("/").split("/"))
        return cls(origin=f"{parts.scheme}://{parts.netloc}", path=path, query=pairs)

    @property
    def path_placeholders(self) -> tuple[str, ...]:
        """Names without which there is no URL."""
        return tuple(find_placeholders(list(self.path)))

    @property
    def placeholders(self) -> tuple[str, ...]:
        """All names, in order, perhaps repeated."""
        return (*self.path_placeholders, *find_placeholders([value for _, value in self.query]))

    def fill(self, arguments: Mapping[str, Any]) -> str:
        """Return the URL; a query parameter that is one placeholder is left out when its argument is absent.

        Raises:
            ToolError: `invalid_arguments`; a value would lead to another path.
        """
        path = "/".join(_fill_segment(segment, arguments) for segment in self.path)
        query = "&".join(pair for name, value in self.query for pair in _fill_pair(name, value, arguments))
        return f"{self.origin}/{path}" + (f"?{query}" if query else "")


def _split_pair(pair: str) -> tuple[str, str | None]:
    name, equals, value = pair.partition("=")
    return name, value if equals else None


def _fill_segment(segment: str, arguments: Mapping[str, Any]) -> str:
    for name in _PLACEHOLDER.findall(segment):
        whole = _PLACEHOLDER.sub(lambda match: to_text(arguments.get(match[1])), segment)
        text = to_text(arguments.get(name))
        # A server that decodes before it looks at dots and slashes would climb out of the path.
        if not text or any(part in (".", "..") for part in re.split(r"[/\\]", f"{text}/{whole}")):
            message = f"Argument {name!r} must be text that can stand in a path: not empty, no '.' or '..'."
            raise ToolError(message, code="invalid_arguments")
    return _PLACEHOLDER.sub(lambda match: _encode(arguments.get(match[1])), segment)


def _fill_pair(name: str, template: str | None, arguments: Mapping[str, Any]) -> Iterator[str]:
    """Yield `name=value`: nothing for an absent argument, one for each item of a list."""
    if template is None:
        yield name
        return
    match = _PLACEHOLDER.fullmatch(template)
    if match is None:
        yield f"{name}={_PLACEHOLDER.sub(lambda one: _encode(arguments.get(one[1])), template)}"
        return
    value = arguments.get(match[1])
    for item in value if isinstance(value, list) else [value]:
        if item is not None:
            yield f"{name}={_encode(item)}"


def _encode(value: Any) -> str:
    return quote(to_text(value), safe="", errors="replace")
