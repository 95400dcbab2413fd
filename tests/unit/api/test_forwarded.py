"""What trusted proxies say, and what others say in their place."""

from typing import Any

import pytest

from agio.api.forwarded import Forwarded


async def seen(trusted: Any, peer: str | None, headers: dict[str, str], kind: str = "http") -> tuple[Any, str, bool]:
    scope: dict[str, Any] = {
        "type": kind,
        "client": (peer, 1) if peer else None,
        "scheme": "ws" if kind == "websocket" else "http",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }

    async def app(scope: Any, receive: Any, send: Any) -> None:
        return None

    await Forwarded(app, trusted)(scope, None, None)  # type: ignore[arg-type]
    return scope["client"] and scope["client"][0], scope["scheme"], scope.get("state", {}).get("from_proxy", False)


FOR = "X-Forwarded-For"


@pytest.mark.parametrize(
    ("trusted", "peer", "header", "client"),
    [
        (["10.0.0.0/8"], "10.0.0.1", "1.2.3.4", "1.2.3.4"),
        (["10.0.0.0/8"], "10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (["10.0.0.0/8"], "10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        (["10.0.0.0/8"], "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (["10.0.0.0/8"], "192.0.2.1", "1.2.3.4", "192.0.2.1"),
        (["10.0.0.1"], "::ffff:10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        (["10.0.0.1"], "10.0.0.1", "1.2.3.4:80", "1.2.3.4"),
        (["10.0.0.1"], "10.0.0.1", "unknown, ' OR 1", "10.0.0.1"),
        (["10.0.0.1"], "10.0.0.1", "", "10.0.0.1"),
        (True, "192.0.2.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (["10.0.0.1"], None, "1.2.3.4", None),
    ],
)
async def test_client_is_the_last_address_that_no_trusted_proxy_has(
    trusted: Any, peer: str | None, header: str, client: str | None
):
    assert (await seen(trusted, peer, {FOR: header}))[0] == client


@pytest.mark.parametrize(
    ("kind", "said", "scheme"),
    [("http", "https", "https"), ("http", "ftp", "http"), ("websocket", "https", "wss"), ("websocket", "ws", "ws")],
)
async def test_scheme_is_the_proxys(kind: str, said: str, scheme: str):
    assert (await seen(["10.0.0.1"], "10.0.0.1", {"X-Forwarded-Proto": said}, kind))[1:] == (scheme, True)
    assert (await seen(["10.0.0.1"], "10.0.0.2", {"X-Forwarded-Proto": said}, kind))[2] is False
