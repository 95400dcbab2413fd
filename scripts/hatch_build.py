"""Put the built UI into the wheel as `agio/ui`, when there is one."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class UiBuildHook(BuildHookInterface):  # type: ignore[misc]  # hatchling is absent outside a build
    """Adds `frontend/dist`; an editable install reads the checkout's own copy instead."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        dist = Path(self.root) / "frontend" / "dist"
        if version != "editable" and (dist / "index.html").is_file():
            build_data["force_include"][str(dist)] = "agio/ui"
