"""The built-in tool `http_get`."""

from agio.tools.base import Tool
from agio.tools.decorator import tool
from agio.tools.net import GuardedClient, WebRequest


def http_get_tool(client: GuardedClient, *, max_bytes: int, timeout_s: float) -> Tool:
    """Make the tool on a guarded client.

    Args:
        client: Decides what may be reached.
        max_bytes: A longer answer is cut off.
        timeout_s: For the whole call.
    """

    @tool(idempotent=True, side_effects=False, timeout_s=timeout_s)
    async def http_get(url: str) -> str:
        """Fetch a public web page or API over HTTP and return its text as it is.

        Args:
            url: Starts with http:// or https://.
        """
        answer = await client.send(WebRequest(url=url), timeout_s=timeout_s, max_bytes=max_bytes)
        return answer.expect_text()

    return http_get
