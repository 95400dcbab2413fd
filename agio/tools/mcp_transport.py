"""HTTP to MCP servers, under the same guard as every tool's: see `net`.

Imported when the first such server is used: the `mcp` package speaks through `httpx2`.
"""

from collections.abc import AsyncIterator

import httpx2

from agio.domain.errors import ToolError
from agio.tools.net import GuardedClient

MAX_BYTES = 10_000_000
"""Of one answer that is no event stream; those are bounded event by event."""
CONNECT_TIMEOUT_S = 10.0


class Refused(httpx2.TransportError):
    """The guard did not let a request pass."""


class GuardedTransport(httpx2.AsyncBaseTransport):
    """Connects to the address that was checked, by the name of the host: in `Host`, and in TLS."""

    def __init__(self, guard: GuardedClient) -> None:
        self._guard = guard
        self._inner = httpx2.AsyncHTTPTransport(trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request. Raises `httpx2.TransportError`."""
        url = request.url
        try:
            addresses = await self._guard.find_addresses(str(url))
        except ToolError as error:
            raise Refused(str(error)) from error
        request.headers["Host"] = url.netloc.decode("ascii")
        request.headers["Accept-Encoding"] = "identity"  # compressed, a few bytes could become gigabytes
        request.extensions = {**request.extensions, "sni_hostname": url.raw_host.decode("ascii")}
        failure: httpx2.TransportError = httpx2.ConnectError(f"could not connect to {url.host!r}")
        for address in addresses:
            request.url = url.copy_with(host=str(address))
            try:
                answer = await self._inner.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = error
                continue
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                assert isinstance(answer.stream, httpx2.AsyncByteStream)
                answer.stream = _Bounded(answer.stream)
            return answer
        raise failure

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in self._inner:
            received += len(chunk)
            if received > MAX_BYTES:
                raise httpx2.ReadError(f"the answer has more than {MAX_BYTES} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()
