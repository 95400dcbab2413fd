"""What the demo model passes to tools: values that fit a JSON Schema, taken from the user's text."""

import re
from collections.abc import Mapping
from typing import Any

_MAX_DEPTH = 6

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_QUOTED = re.compile(r"[\"“«']([^\"”»']+)[\"”»']")
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_URL = re.compile(r"https?://[^\s\"'<>)]+")
_RECIPIENT = re.compile(r"\bto (?:the |my |our )?(\w[\w.-]*)", re.IGNORECASE)
_SAYING = re.compile(r"\b(?:saying|that says|with the text)[: ]+(.+)$|:\s+(.+)$", re.IGNORECASE | re.DOTALL)


def fill_schema(schema: Mapping[str, Any], text: str, known: Mapping[str, Any] | None = None, *, depth: int = 0) -> Any:
    """Return a value that fits the schema.

    Args:
        schema: JSON Schema; types, `properties`, `required`, `items`, `enum`, `const` and `default`
            are understood.
        text: strings and numbers are taken from it.
        known: values for properties by name; they win, and are given even where optional.
        depth: how deep this value lies.
    """
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    if schema.get("enum"):
        return schema["enum"][0]
    match _type_of(schema):
        case "object":
            return _object(schema, text, known or {}, depth)
        case "array":
            deeper = depth < _MAX_DEPTH
            return [fill_schema(schema.get("items") or {}, text, depth=depth + 1)] if deeper else []
        case "integer":
            return int(float(_number(text)))
        case "number":
            return float(_number(text))
        case "boolean":
            return True
        case "null":
            return None
    return _shortened(text, schema.get("maxLength"))


def message_arguments(text: str) -> dict[str, Any]:
    """Return recipient and text of what the user wants sent."""
    address, recipient = _ADDRESS.search(text), _RECIPIENT.search(text)
    quoted, saying = _QUOTED.search(text), _SAYING.search(text)
    to = address[0] if address else recipient[1] if recipient else "operator@example.com"
    body = quoted[1] if quoted else (saying[1] or saying[2]).strip() if saying else text
    return {"to": to, "text": body}


def find_url(text: str) -> str | None:
    """Return the first web address in the text."""
    found = _URL.search(text)
    return found[0].rstrip(".,;") if found else None


def _shortened(text: str, most: object) -> str:
    """Return the text, cut behind a word where it is longer than the schema allows."""
    if not isinstance(most, int) or len(text) <= most:
        return text
    words = text[:most].rpartition(" ")[0]
    return words or text[:most]


def _type_of(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    return str(kind or ("object" if "properties" in schema else "string"))


def _object(schema: Mapping[str, Any], text: str, known: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties: Mapping[str, Any] = schema.get("properties") or {}
    wanted = set(schema.get("required") or ()) | (known.keys() & properties.keys())
    if depth >= _MAX_DEPTH:
        return {}
    return {
        name: known[name] if name in known else fill_schema(properties.get(name, {}), text, depth=depth + 1)
        for name in [*properties, *(name for name in sorted(wanted) if name not in properties)]
        if name in wanted
    }


def _number(text: str) -> str:
    found = _NUMBER.search(text)
    return found[0] if found else "1"
