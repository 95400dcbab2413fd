"""What trusted proxies say about the caller: its address and scheme, and that a proxy speaks at all."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

Network = IPv4Network | IPv6Network

SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class Forwarded:
    """Believes `X-Forwarded-For` and `X-Forwarded-Proto` of trusted peers only.

    Not uvicorn's own: that one forgets who the peer was, and whether to believe the proxy's other headers depends
    on it. Leaves a trace in the scope's state: `from_proxy`.
    """

    def __init__(self, app: ASGIApp, trusted: bool | Sequence[str]) -> None:
        """Args: trusted: addresses and networks of proxies; True: whoever calls is one."""
        self._app = app
        self._everyone = trusted is True
        self._networks: tuple[Network, ...] = () if isinstance(trusted, bool) else tuple(map(_network, trusted))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and self._trusts((scope.get("client") or ("", 0))[0]):
            self._believe(scope, Headers(scope=scope))
        await self._app(scope, receive, send)

    def _believe(self, scope: Scope, headers: Headers) -> None:
        scope.setdefault("state", {})["from_proxy"] = True
        chain = [part.strip() for value in headers.getlist("x-forwarded-for") for part in value.split(",")]
        client = self._nearest_stranger([host for part in chain if (host := _host(part))])
        if client is not None:
            scope["client"] = (client, 0)
        scheme = SCHEMES.get(headers.get("x-forwarded-proto", "").strip().lower())
        if scheme is not None:
            is_socket = scope["type"] == "websocket"
            scope["scheme"] = scheme.replace("http", "ws") if is_socket else scheme

    def _nearest_stranger(self, hosts: list[str]) -> str | None:
        """Return the last address that no trusted proxy has: what stands before it anyone may have written."""
        if self._everyone:
            return hosts[-1] if hosts else None
        for host in reversed(hosts):
            if not self._trusts(host):
                return host
        return hosts[0] if hosts else None

    def _trusts(self, host: str) -> bool:
        if self._everyone:
            return True
        try:
            address = ip_address(host)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)


def _network(text: str) -> Network:
    return ip_network(text, strict=False)


def _host(part: str) -> str | None:
    """Return the address in an element of the list, without brackets and port; None: it holds none."""
    text = part.strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
