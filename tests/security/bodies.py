"""Valid requests made from the API's description, with ids put where ids belong."""

from collections.abc import Mapping
from typing import Any

Ids = Mapping[str, str]
"""Name of a parameter or member → an id."""


def minimal(schema: Mapping[str, Any], document: Mapping[str, Any], ids: Ids, name: str = "") -> Any:
    """Return a small value of a schema: what is required, and every member that is an id."""
    if "$ref" in schema:
        return minimal(_resolve(schema["$ref"], document), document, ids, name)
    if name in ids:
        return [ids[name]] if schema.get("type") == "array" else ids[name]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return minimal(schema[key][0], document, ids, name)
    if schema.get("properties"):  # an example of the whole would hold none of the ids
        return _of_type(schema, document, ids, name)
    if "const" in schema:
        return schema["const"]
    for key in ("enum", "examples"):
        if schema.get(key):
            return schema[key][0]
    return _of_type(schema, document, ids, name)


def _of_type(schema: Mapping[str, Any], document: Mapping[str, Any], ids: Ids, name: str) -> Any:
    match schema.get("type"):
        case "object":
            members = schema.get("properties", {})
            made = {one: minimal(member, document, ids, one) for one, member in members.items()}
            must = schema.get("required", ())
            return {one: value for one, value in made.items() if one in must or _holds_id(value, ids)}
        case "array":
            item = minimal(schema.get("items", {}), document, ids, name)
            return [item] * max(1, schema.get("minItems", 0))
        case "string":
            return "2030-01-01T00:00:00Z" if schema.get("format") == "date-time" else "x" * schema.get("minLength", 1)
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case "null":
            return None
    return {}


def _holds_id(value: Any, ids: Ids) -> bool:
    match value:
        case str():
            return value in ids.values()
        case list():
            return any(_holds_id(item, ids) for item in value)
        case dict():
            return any(_holds_id(item, ids) for item in value.values())
    return False


def _resolve(reference: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    resolved: Mapping[str, Any] = found
    return resolved
