"""Tools that were made over the API."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


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
    created_at: datetime
    updated_at: datetime
