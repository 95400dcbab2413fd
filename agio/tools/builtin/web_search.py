"""The built-in tool `web_search`, on Serper's Google search API (https://serper.dev)."""

import json
import os
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from agio.domain.errors import ToolError
from agio.tools.addresses import AddressPolicy
from agio.tools.base import Tool
from agio.tools.decorator import tool
from agio.tools.net import GuardedClient, NetworkPolicy, WebRequest

KEY_VARIABLE = "SERPER_API_KEY"
SEARCH_URL = "https://google.serper.dev/search"
_TIMEOUT_S = 20.0


def WebSearchTool(api_key: str | None = None, *, url: str = SEARCH_URL) -> Tool:
    """Make the tool `web_search`. Without a key its calls fail with a text that says so; nothing else does.

    Args:
        api_key: Serper's key; default: the environment's `SERPER_API_KEY`, looked up at each call.
        url: Of the search API; chosen by the operator, so it may be an internal address.
    """
    addresses = AddressPolicy.allowing([urlsplit(url).hostname or ""])
    client = GuardedClient(NetworkPolicy(addresses=addresses, timeout_s=_TIMEOUT_S, max_redirects=0))

    @tool(idempotent=True, side_effects=False, timeout_s=_TIMEOUT_S)
    async def web_search(query: str, max_results: Annotated[int, Field(ge=1, le=20)] = 5) -> str:
        """Search the web and return titles, addresses and excerpts of the best results.

        Args:
            query: What to search for.
            max_results: How many results to return.
        """
        key = api_key or os.environ.get(KEY_VARIABLE)
        if not key:
            raise ToolError(f"Web search is not set up on this server: {KEY_VARIABLE} is not set.")
        content = json.dumps({"q": query, "num": max_results}).encode()
        headers = {"X-API-KEY": key, "Content-Type": "application/json"}
        answer = await client.send(WebRequest(url=url, method="POST", headers=headers, content=content))
        if answer.status in (401, 403):
            raise ToolError(f"The search service rejected the key in {KEY_VARIABLE}.")
        if answer.status != 200:
            raise ToolError(f"The search service answered {answer.status} {answer.reason}.")
        return "\n\n".join(_read_results(answer.text, max_results)) or "No results."

    return web_search


def _read_results(text: str, max_results: int) -> Iterator[str]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ToolError("The search service did not answer with JSON.") from error
    if not isinstance(found, dict):
        raise ToolError("The search service answered with something unknown.")
    if box := _lines(found.get("answerBox"), "answer", "snippet", "link"):
        yield box
    organic = found.get("organic")
    for number, result in enumerate(organic[:max_results] if isinstance(organic, list) else (), start=1):
        if lines := _lines(result, "title", "link", "snippet"):
            yield f"{number}. {lines}"


def _lines(result: Any, *fields: str) -> str:
    if not isinstance(result, dict):
        return ""
    return "\n".join(str(result[field]) for field in fields if result.get(field))
