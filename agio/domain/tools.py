"""Tools that were made over the API."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A tool that a server said it has, when it was asked last."""

    name: str
    """As the server calls it."""
    description: str = ""
    parameters: dict[str, Any]
    """JSON Schema of the arguments object."""
    read_only: bool = False
    """It says that it changes nothing."""
    idempotent: bool = False
    """It says that it may be called again with the same arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTool:
    """A tool as a record; what its configuration means depends on `tool_type`."""

    id: str
    group_id: str
    name: str
    description: str = ""
    tool_type: str = "http"
    configuration: dict[str, Any]
    parameters: dict[str, Any] = field(default_factory=dict)
    """JSON Schema of the arguments object; empty: derived from the configuration."""
    enabled: bool = True
    requires_approval: bool = False
    offers: tuple[Offer, ...] = ()
    """Of a record that many tools come from: these. Agents name them `<record's name>.<offer's name>`, or all of them
    by the record's."""
    created_at: datetime
    updated_at: datetime
