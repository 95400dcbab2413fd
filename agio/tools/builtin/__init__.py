"""Tools that come with Agio."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agio.tools.base import Tool
from agio.tools.builtin.calculator import calculator
from agio.tools.builtin.clock import current_time_tool
from agio.tools.builtin.http_get import http_get_tool
from agio.tools.builtin.http_request import http_request_tool
from agio.tools.builtin.send_message import send_message
from agio.tools.builtin.web_search import SEARCH_URL, WebSearchTool
from agio.tools.net import GuardedClient, NetworkPolicy

__all__ = ["BuiltinToolSettings", "WebSearchTool", "builtin_tools", "calculator", "send_message"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinToolSettings:
    """What the built-in tools need to know of this installation."""

    serper_api_key: str | None = None
    """None: the environment's `SERPER_API_KEY`; without it `web_search` says that it is not set up."""
    search_url: str = SEARCH_URL
    network: NetworkPolicy = field(default_factory=NetworkPolicy)
    """What `http_get` and `http_request` may reach."""
    http_get_max_bytes: int = 100_000
    """Longest text of `http_get`; a model's context is far smaller than the network's limit."""


def builtin_tools(settings: BuiltinToolSettings | None = None) -> Sequence[Tool]:
    """Return every built-in tool: calculator, current_time, http_get, http_request, web_search, send_message."""
    settings = settings or BuiltinToolSettings()
    client = GuardedClient(settings.network)
    http_request = http_request_tool(
        client, max_bytes=settings.http_get_max_bytes, timeout_s=settings.network.timeout_s
    )
    http_get = http_get_tool(
        client,
        max_bytes=settings.http_get_max_bytes,
        timeout_s=settings.network.timeout_s,
    )
    tools: tuple[Tool, ...] = (
        calculator,
        current_time_tool(),
        http_get,
        http_request,
        WebSearchTool(settings.serper_api_key, url=settings.search_url),
        send_message,
    )
    return [replace(tool, source="builtin") for tool in tools]
