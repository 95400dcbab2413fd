"""Carries the requests of the `openai` client over aiohttp.

`openai` ships such a transport too. This one closes more thoroughly: leaving an answer early aborts
the connection, where a mere close would first wait for a TLS peer to say goodbye (up to 30 s, in
which nginx, for one, lets the model go on) and for unsent bytes to drain. It also hands on
whatever has arrived as one read, and leaves aiohttp's exceptions as they are, from which a time-out
can be told from a connection that the endpoint closed.
"""

import io
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2

_KEEPALIVE_S = 30.0

_ONE_WRITE = 2**20
"""Bytes of a body that are written in one go; more would hold up the event loop."""


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """One aiohttp session, opened on the event loop of its first request."""

    def __init__(self, base_url: str) -> None:
        """Make the transport for one endpoint, with the proxy that the environment names for it."""
        self._is_tls = urlsplit(base_url).scheme == "https"
        self._proxy = _find_proxy(base_url)
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request; return as soon as the headers are there."""
        if self._session is None:
            self._session = self._open_session()
        timeout = request.extensions.get("timeout", {})
        response = await self._session.request(
            request.method,
            str(request.url),
            headers=list(request.headers.items()),
            data=_body_of(request),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                connect=timeout.get("pool"),
                sock_connect=timeout.get("connect"),
                sock_read=timeout.get("read"),
            ),
            proxy=self._proxy,
        )
        return httpx2.Response(response.status, headers=response.raw_headers, stream=_Body(response), request=request)

    async def aclose(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            # How many calls run at once is the engine's to limit; waiting here would look like a
            # silent model.
            limit=0,
            keepalive_timeout=_KEEPALIVE_S,
            ssl=httpx2.create_ssl_context() if self._is_tls else True,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            response_class=_AbortingResponse,
        )


class _AbortingResponse(aiohttp.ClientResponse):
    """Closes at once. aiohttp also calls this when a request is cancelled before its headers."""

    def close(self) -> None:
        connection = self.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        super().close()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for read in self._response.content.iter_any():
            yield read

    async def aclose(self) -> None:
        # Nothing is awaited: no second cancellation can come in between. A body that was read to
        # its end has given its connection back already.
        self._response.close()


def _body_of(request: httpx2.Request) -> bytes | io.BytesIO | None:
    body = request.content
    return io.BytesIO(body) if len(body) > _ONE_WRITE else body or None


def _find_proxy(url: str) -> str | None:
    parts = urlsplit(url)
    proxies = getproxies()
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")
