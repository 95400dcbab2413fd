"""HTTP to the outside on behalf of a model: it reaches public addresses only, and nothing of unbounded size.

A host is resolved once for each hop, all its addresses are checked, and the connection goes to the checked address,
so that a name which resolves differently the second time (DNS rebinding) gains nothing. Proxies of the environment
are not used: a proxy would resolve by itself.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from ipaddress import ip_address
from typing import Final

import httpx

from agio.domain.errors import ToolError
from agio.tools.addresses import Address, AddressPolicy, unwrap
from agio.tools.threads import run_in_thread

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Takes a host and a port, returns addresses, best first. Raises `OSError` when there are none."""

_MAX_ADDRESSES = 4  # of one host that are tried
_CONNECT_TIMEOUT_S = 10.0
_HOST = re.compile(rb"[A-Za-z0-9._:-]+")
_MAX_EXCERPT_CHARS = 1_000  # of a failed answer's text, shown to the model
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEPT_ACROSS_ORIGINS: Final = frozenset({"accept", "accept-language", "user-agent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPolicy:
    """Where tools may connect to, and how much they may bring."""

    addresses: AddressPolicy = field(default_factory=AddressPolicy)
    max_redirects: int = 5
    max_bytes: int = 1_000_000
    """Longer answers are cut off."""
    timeout_s: float = 30.0
    """For everything from the first name to the last byte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRequest:
    """What to ask for."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that may hold credentials are not sent on when another origin is redirected to."""
    content: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAnswer:
    """What came back."""

    url: str
    """The last one, after redirects."""
    status: int
    reason: str
    headers: httpx.Headers
    content: bytes
    is_truncated: bool

    @property
    def media_type(self) -> str:
        """Such as `text/html`; empty when the server does not say."""
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """The content in the charset that the server names, else UTF-8; wrong bytes are replaced."""
        _, _, name = self.headers.get("content-type", "").lower().partition("charset=")
        name = name.partition(";")[0].strip(" \"'") or "utf-8"
        try:
            return self.content.decode(name, errors="replace")
        except (LookupError, ValueError):
            return self.content.decode(errors="replace")

    def expect_text(self) -> str:
        """Return the text for a model, with a note when it was cut off.

        Raises:
            ToolError: the status says failure, or the content is not text.
        """
        if self.status >= 400:
            excerpt = self.text[:_MAX_EXCERPT_CHARS].strip() if self._is_text else ""
            raise ToolError(f"The server answered {self.status} {self.reason}: {excerpt}".rstrip(": "))
        if self.content and not self._is_text:
            raise ToolError(f"The answer is not text but {self.media_type}.")
        return f"{self.text}\n[cut off after {len(self.content)} bytes]" if self.is_truncated else self.text

    @property
    def _is_text(self) -> bool:
        kind = self.media_type
        return not kind or kind.startswith("text/") or kind.endswith(("json", "xml", "yaml", "javascript"))


async def resolve_host(host: str, port: int) -> list[str]:
    """Ask the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class GuardedClient:
    """Sends requests under a policy. Holds no connection between them."""

    def __init__(
        self,
        policy: NetworkPolicy | None = None,
        *,
        resolve: Resolve = resolve_host,
        open_transport: Callable[[ssl.SSLContext], httpx.AsyncBaseTransport] | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._policy = policy or NetworkPolicy()
        self._resolve = resolve
        # A pool that outlives one hop would share a connection between hosts that live at one address.
        self._open_transport = open_transport or _open_transport
        self._ssl_context = ssl_context

    def check(self, url: str) -> None:
        """Refuse early what `send` would refuse whatever its names resolve to.

        Raises:
            ToolError: `invalid_arguments`.
        """
        checked = _check_url(url)
        host = checked.raw_host.decode("ascii")
        if _is_address(host) and not self._policy.addresses.allows(host, ip_address(host)):
            raise _not_allowed(host)

    async def find_addresses(self, url: str) -> list[Address]:
        """Resolve a URL's host, once, and return the addresses that may be connected to in its place, best first.

        Raises:
            ToolError: as `send`.
        """
        return (await self._find_addresses(_check_url(url)))[:_MAX_ADDRESSES]

    async def send(
        self, request: WebRequest, *, timeout_s: float | None = None, max_bytes: int | None = None
    ) -> WebAnswer:
        """Send a request, follow redirects and return the answer, whatever its status.

        Args:
            request: What to ask for.
            timeout_s: Instead of the policy's.
            max_bytes: Instead of the policy's.

        Raises:
            ToolError: `invalid_arguments` for a URL that is wrong or not allowed, `tool_timeout`, else
                `tool_failed`. No message holds more of the URL than its host.
        """
        timeout_s = self._policy.timeout_s if timeout_s is None else timeout_s
        max_bytes = self._policy.max_bytes if max_bytes is None else max_bytes
        limit = asyncio.timeout(timeout_s)
        try:
            async with limit:
                return await self._follow(request, max_bytes)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise ToolError(f"No complete answer within {timeout_s:g} s.", code="tool_timeout") from error

    async def _follow(self, request: WebRequest, max_bytes: int) -> WebAnswer:
        for _ in range(self._policy.max_redirects + 1):
            url = _check_url(request.url)
            answer = await self._hop(request, url, max_bytes)
            location = answer.headers.get("location")
            if answer.status not in _REDIRECTS or not location:
                return answer
            request = _redirect(request, url, answer.status, location)
        raise ToolError(f"More than {self._policy.max_redirects} redirects; gave up.")

    async def _hop(self, request: WebRequest, url: httpx.URL, max_bytes: int) -> WebAnswer:
        addresses = await self._find_addresses(url)
        if self._ssl_context is None:
            self._ssl_context = await run_in_thread(_trusted)
        for address in addresses[:_MAX_ADDRESSES]:
            try:
                async with self._open_transport(self._ssl_context) as transport:
                    return await _exchange(transport, request, url, address, max_bytes)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
            except httpx.TimeoutException as error:
                raise ToolError(f"{url.host!r} did not answer in time.", code="tool_timeout") from error
            except (httpx.TransportError, httpx.InvalidURL, ValueError) as error:
                raise ToolError(f"{url.host!r} cannot be talked to over HTTP.") from error
        raise ToolError(f"Could not connect to {url.host!r}.")

    async def _find_addresses(self, url: httpx.URL) -> list[Address]:
        """Resolve and check; one forbidden address refuses the host, which has no honest reason for it."""
        host = url.raw_host.decode("ascii")
        try:
            port = url.port or (443 if url.scheme == "https" else 80)
            found = [host] if _is_address(host) else await self._resolve(host, port)
            addresses = [ip_address(text) for text in found]
        except (OSError, ValueError) as error:
            raise ToolError(f"The host {host!r} is not known.") from error
        if not addresses:
            raise ToolError(f"The host {host!r} is not known.")
        if not all(self._policy.addresses.allows(host, address) for address in addresses):
            raise _not_allowed(host)
        return [unwrap(address) for address in addresses]


def _not_allowed(host: str) -> ToolError:
    message = f"The host {host!r} is not allowed: it is not on the public Internet."
    return ToolError(message, code="invalid_arguments")


@cache
def _trusted() -> ssl.SSLContext:
    """Whom this machine trusts: read once for all clients, since it takes 20 ms."""
    return httpx.create_ssl_context()


def _open_transport(ssl_context: ssl.SSLContext) -> httpx.AsyncBaseTransport:
    return httpx.AsyncHTTPTransport(verify=ssl_context, trust_env=False)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _check_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ToolError("That is not a valid URL.", code="invalid_arguments") from error
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise ToolError("A URL must start with http:// or https:// and a host.", code="invalid_arguments")
    if not _HOST.fullmatch(url.raw_host):
        raise ToolError("The host of the URL is not a name or an address.", code="invalid_arguments")
    if url.port is not None and not 0 < url.port < 65536:
        raise ToolError("A URL's port must be 1 to 65535.", code="invalid_arguments")
    if url.userinfo:
        raise ToolError("A URL must not hold a user name or a password.", code="invalid_arguments")
    return url


async def _exchange(
    transport: httpx.AsyncBaseTransport, request: WebRequest, url: httpx.URL, address: Address, max_bytes: int
) -> WebAnswer:
    """Ask the checked address, but by the name of the host: in `Host`, and in TLS for SNI and the certificate."""
    headers = httpx.Headers({"User-Agent": "agio", "Accept": "*/*"})
    headers.update(dict(request.headers))
    headers["Host"] = url.netloc.decode("ascii")
    # Compressed, a few bytes could become gigabytes before they are counted.
    headers["Accept-Encoding"] = "identity"
    timeout = httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S).as_dict()
    pinned = httpx.Request(
        request.method,
        url.copy_with(host=str(address), fragment=None),
        headers=headers,
        content=request.content,
        extensions={"sni_hostname": url.raw_host.decode("ascii"), "timeout": timeout},
    )
    response = await transport.handle_async_request(pinned)
    try:
        if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise ToolError(f"{url.host!r} compresses its answer, although it was asked not to.")
        content, is_truncated = await _read(response, max_bytes)
    finally:
        await response.aclose()
    return WebAnswer(
        url=str(url),
        status=response.status_code,
        reason=response.reason_phrase,
        headers=response.headers,
        content=content,
        is_truncated=is_truncated,
    )


async def _read(response: httpx.Response, max_bytes: int) -> tuple[bytes, bool]:
    if response.is_stream_consumed:
        content = response.content
        return content[:max_bytes], len(content) > max_bytes
    received = bytearray()
    async for chunk in response.aiter_raw():
        received += chunk
        if len(received) > max_bytes:
            return bytes(received[:max_bytes]), True
    return bytes(received), False


def _redirect(request: WebRequest, source: httpx.URL, status: int, location: str) -> WebRequest:
    """Return the request to send next; to another origin it carries no body and nothing that may be secret."""
    try:
        target = source.join(location)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ToolError(f"{source.host!r} redirects to something that is not a URL.") from error
    becomes_get = status == 303 or (status in (301, 302) and request.method == "POST")
    headers = dict(request.headers)
    if becomes_get:
        request = replace(request, method="GET", content=None)
        headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    if _origin(source) != _origin(target):
        if request.method != "GET" or request.content is not None:
            raise ToolError(f"{source.host!r} redirects a {request.method} to another host; not followed.")
        headers = {name: value for name, value in headers.items() if name.lower() in _KEPT_ACROSS_ORIGINS}
    return replace(request, url=str(target), headers=headers)


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port
