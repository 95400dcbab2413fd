"""The provider for every endpoint that speaks OpenAI's chat completions.

The `openai` client sends the request; the answer is read raw and decoded here, because the
client's typed chunks cost about twenty times as much.

Not responsible for retries (the engine's, visibly) nor for finding keys (the registry's).
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from urllib.parse import urlsplit

import httpx2
from openai import AsyncOpenAI, Omit, Timeout

from agio.domain.errors import ProviderError
from agio.providers.base import ModelPart, ModelRequest
from agio.providers.chunks import ChunkReader, ErrorInStream, MalformedChunk
from agio.providers.failures import ENDPOINT_FAILURES, Endpoint
from agio.providers.presets import Quirks, is_openai
from agio.providers.request_body import encode_request
from agio.providers.stream_lines import DataLines, LineTooLong
from agio.providers.transport import AiohttpTransport

MOST_BYTES = 16 * 1024 * 1024
"""Of an answer that comes in one piece."""
_DRAIN_S = 0.05
"""How long to wait for the end of a body after `[DONE]`; only then can the connection be kept."""


def _no_key() -> None:
    return None


class OpenAICompatibleProvider:
    """An endpoint, with one shared client that is made on the event loop of its first call."""

    is_demo = False

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        key: Callable[[], str | None] = _no_key,
        key_names: Sequence[str] = (),
        needs_key: bool = True,
        quirks: Quirks | None = None,
        connect_timeout_s: float = 10.0,
        read_timeout_s: float = 120.0,
    ) -> None:
        """Make the provider; nothing is opened yet.

        Args:
            name: as agents name it.
            base_url: up to and including `/v1`.
            key: asked at every call that brings no key of its own; None or empty means none.
            key_names: environment variables to name when there is no key.
            needs_key: refuse a call without a key instead of sending it.
            quirks: how the endpoint departs from the others.
            connect_timeout_s: for the name look-up and the connection.
            read_timeout_s: longest silence, before the headers and between bytes.

        Raises:
            ProviderError: code `provider_not_configured`, when the base URL is none.
        """
        _check_url(name, base_url)
        self.name = name
        self.base_url = base_url.rstrip("/")
        self._key = key
        self._key_names = tuple(key_names)
        self._needs_key = needs_key
        self._quirks = quirks or Quirks()
        self._timeout = Timeout(read_timeout_s, connect=connect_timeout_s, pool=connect_timeout_s)
        self._client: AsyncOpenAI | None = None

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[Sequence[ModelPart]]]:
        """Call the model and stream its answer; see `Provider.stream`.

        A call without a key, where one is needed, fails here with `provider_not_configured`: only
        here is known whether the request brings its own.
        """
        key = self._choose_key(request)
        endpoint = Endpoint(self.name, (key,) if key else ())
        response = await self._open(request, key, endpoint)
        try:
            async with aclosing(_batches(response, endpoint)) as batches:
                yield batches
        finally:
            await response.aclose()

    async def close(self) -> None:
        """Let go of connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _choose_key(self, request: ModelRequest) -> str | None:
        key = (request.api_key or self._key() or "").strip()
        if not key:
            if not self._needs_key:
                return None
            names = " or ".join(self._key_names) or "its variable"
            raise ProviderError(
                f"{self.name} has no API key: set {names}, or send one with the request",
                code="provider_not_configured",
            )
        if not (key.isascii() and key.isprintable()):
            raise ProviderError(f"{self.name}: the API key holds characters that no key has", code="provider_auth")
        return key

    async def _open(self, request: ModelRequest, key: str | None, endpoint: Endpoint) -> httpx2.Response:
        body = encode_request(request, self._quirks)
        headers: dict[str, str | Omit] = {
            # Asks `openai` for the response with its body unread.
            "X-Stainless-Raw-Response": "stream",
            # A compressed stream would arrive in the compressor's blocks instead of at once.
            "Accept-Encoding": "identity",
            "Authorization": f"Bearer {key}" if key else Omit(),
        }
        if not is_openai(self.base_url):
            # The client takes both from OPENAI_* variables; they are nobody else's business.
            headers |= {"OpenAI-Organization": Omit(), "OpenAI-Project": Omit()}
        if self._client is None:
            self._client = self._make_client()
        try:
            return await self._client.post(
                "/chat/completions",
                content=body,
                cast_to=httpx2.Response,
                options={"headers": headers},
            )
        except ENDPOINT_FAILURES as exc:
            failure = endpoint.from_exception(exc)
        # Outside of the handler: the exception's request holds the key.
        raise failure

    def _make_client(self) -> AsyncOpenAI:
        return AsyncOpenAI(
            base_url=self.base_url,
            # Never sent: every request brings its own header. None would make the client look
            # into the environment.
            api_key="unused",
            max_retries=0,
            timeout=self._timeout,
            http_client=httpx2.AsyncClient(
                transport=AiohttpTransport(self.base_url), timeout=self._timeout, follow_redirects=True
            ),
        )


def _check_url(name: str, base_url: str) -> None:
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ProviderError(f"{name}: {base_url!r} is not an http(s) base URL", code="provider_not_configured")


async def _batches(response: httpx2.Response, endpoint: Endpoint) -> AsyncGenerator[Sequence[ModelPart], None]:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/html":
        raise endpoint.refused("answered with a web page; is the base URL right?")
    read = _read_whole if kind == "application/json" else _read_stream
    try:
        async with aclosing(read(response)) as batches:
            async for parts in batches:
                yield parts
        return
    except ErrorInStream as exc:
        failure = endpoint.from_stream(exc.error)
    except (MalformedChunk, LineTooLong) as exc:
        failure = endpoint.broken(f"answered with something else than chat completions: {exc}")
    except ENDPOINT_FAILURES as exc:
        failure = endpoint.from_read(exc)
    raise failure


async def _read_stream(response: httpx2.Response) -> AsyncGenerator[Sequence[ModelPart], None]:
    lines, chunks = DataLines(), ChunkReader()
    parts: list[ModelPart] = []
    async with aclosing(response.aiter_bytes()) as reads:
        async for read in reads:
            for payload in lines.feed(read):
                chunks.read(payload, parts)
            if parts:
                yield parts
                parts = []
            if chunks.done:
                await _drain(reads)
                return
    # A last line without a line end; what was cut in its middle is left out, and the missing
    # finish reason tells the caller.
    with suppress(MalformedChunk):
        for payload in lines.flush():
            chunks.read(payload, parts)
    if parts:
        yield parts


async def _drain(reads: AsyncIterator[bytes]) -> None:
    with suppress(*ENDPOINT_FAILURES):
        async with asyncio.timeout(_DRAIN_S):
            async for _ in reads:
                pass


async def _read_whole(response: httpx2.Response) -> AsyncGenerator[Sequence[ModelPart], None]:
    """Read the answer of an endpoint that does not stream, though asked to."""
    whole = bytearray()
    async with aclosing(response.aiter_bytes()) as reads:
        async for read in reads:
            whole += read
            if len(whole) > MOST_BYTES:
                raise ProviderError(f"the model's answer has more than {MOST_BYTES:,} bytes", code="provider_flood")
    parts: list[ModelPart] = []
    ChunkReader().read(bytes(whole), parts)
    if not parts:
        raise MalformedChunk("JSON without choices")
    yield parts
