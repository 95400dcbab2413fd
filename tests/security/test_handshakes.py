"""WebSockets over a real network: every credential in every way that a client or a browser can send it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from agio.security import COOKIE
from tests.api.serving import listening, serving
from tests.security.test_matrix import BY_NAME, KINDS, STATIC, Kind, furnished

PROXY = {"X-Forwarded-Email": "ann@example.org", "X-Forwarded-For": "192.0.2.1"}


@dataclass(frozen=True, slots=True)
class Sent:
    """How a handshake carries a credential."""

    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    protocols: tuple[str, ...] = ()
    origin: str | None = None


def ways_of(kind: Kind, text: str, port: int) -> list[Sent]:
    """Return the ways in which a handshake may carry it: as programs do, and as pages can."""
    match kind.place:
        case "x-api-key":
            page = [Sent(query=f"api_key={text}"), Sent(protocols=("agio", f"api-key.{text}"))]
            return [Sent({"X-API-Key": text}), *page]
        case "cookie":
            return [Sent({"Cookie": f"{COOKIE}={text}"}, origin=f"http://127.0.0.1:{port}")]
    page = [Sent(query=f"token={text}"), Sent(protocols=(f"bearer.{text}", "agio"))]
    return page if kind.place == "query" else [Sent({"Authorization": f"Bearer {text}"}), *page]


@asynccontextmanager
async def opened(port: int, sent: Sent, path: str = "/ws/echo") -> AsyncIterator[ClientConnection]:
    given: dict[str, Any] = {"additional_headers": sent.headers, "proxy": None}
    if sent.protocols:
        given["subprotocols"] = [Subprotocol(one) for one in sent.protocols]
    if sent.origin:
        given["origin"] = Origin(sent.origin)
    async with connect(f"ws://127.0.0.1:{port}{path}?{sent.query}", **given) as socket:
        yield socket


async def status_of(port: int, sent: Sent) -> int:
    """Return the status of the handshake; whoever is let in is told who they are, in their group."""
    try:
        async with opened(port, sent) as socket:
            assert str(await socket.recv()).endswith(" of ours")
            assert socket.subprotocol == ("agio" if sent.protocols else None)
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_every_credential_in_every_way_over_the_network(tmp_path: Path):
    async with furnished(tmp_path) as api, listening(api) as client:
        port = client.base_url.port or 0
        assert await status_of(port, Sent()) == 401
        for kind in KINDS:
            text = await kind.make(api, "ours")
            wrong = text[:-3] + ("aaa" if text[-3:] != "aaa" else "bbb")
            for sent in ways_of(kind, text, port):
                assert await status_of(port, sent) == 101, (kind.name, sent)
            for sent in ways_of(kind, wrong, port):
                assert await status_of(port, sent) == 401, (kind.name, sent)
            if kind.expire is not None:
                expired = await kind.expire(api, await kind.make(api, "ours"))
                for sent in ways_of(kind, expired, port):
                    assert await status_of(port, sent) == 401, (kind.name, sent)
            if kind.revoke is not None:
                await kind.revoke(api, text)
                for sent in ways_of(kind, text, port):
                    assert await status_of(port, sent) == 401, (kind.name, sent)


async def test_socket_finds_nothing_of_another_group(tmp_path: Path):
    """A run's conversation over a wire's real socket: the other group's agent does not exist for it."""
    async with furnished(tmp_path) as api, listening(api) as client:
        port = client.base_url.port or 0
        body = {"id": "ours-only", "name": "Ours", "provider": "scripted", "model": "m"}
        made = await client.post("/api/agents", json=body, headers={"X-API-Key": STATIC["key"]})
        assert made.status_code == 201, made.text
        known = await BY_NAME["static key"].make(api, "ours")
        foreign = await BY_NAME["static key"].make(api, "theirs")
        async with opened(port, Sent({"X-API-Key": known}), "/ws/agents/ours-only") as socket:
            await socket.send('{"prompt": "hello"}')
            assert "conversation_id" in str(await socket.recv())
        assert await _refusal(port, foreign, "ours-only") == await _refusal(port, foreign, "made-up")


async def _refusal(port: int, key: str, agent: str) -> tuple[int, str]:
    """Return how a socket to an agent ends that is not there: it is accepted, and closed at once."""
    async with opened(port, Sent({"X-API-Key": key}), f"/ws/agents/{agent}") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        received = closed.value.rcvd
        assert received is not None
        return received.code, received.reason.replace(agent, "…")


async def test_cookie_opens_no_socket_for_a_foreign_page(tmp_path: Path):
    async with furnished(tmp_path) as api, listening(api) as client:
        port = client.base_url.port or 0
        cookie = {"Cookie": f"{COOKIE}={await BY_NAME['login cookie'].make(api, 'ours')}"}
        for origin in ("https://evil.example", "http://127.0.0.1", "null", None):
            assert await status_of(port, Sent(cookie, origin=origin)) == 401


@pytest.mark.contract("S3", "C35")
@pytest.mark.parametrize("trusted", ["127.0.0.1", "192.0.2.77"])
async def test_proxys_user_counts_on_every_transport_from_a_trusted_proxy_only(tmp_path: Path, trusted: str):
    async with serving(tmp_path, proxy_auth=True, trust_proxy=trusted) as api, listening(api) as client:
        run = await client.post("/api/runs", json={"agent_id": "writer", "message": "hello"}, headers=PROXY)
        if trusted != "127.0.0.1":
            assert run.status_code == 401
            with pytest.raises(InvalidStatus):
                async with opened(client.base_url.port or 0, Sent(PROXY), "/ws/agents/writer"):
                    pass
            return
        assert run.status_code == 202
        path = f"/api/runs/{run.json()['id']}/events"

        async def followed(headers: dict[str, str]) -> httpx.Response:
            return await client.get(path, headers=headers)

        assert "run_completed" in (await followed(PROXY)).text
        assert (await followed({**PROXY, "X-Forwarded-Email": "eve@elsewhere.example"})).status_code == 404
        assert (await followed({"X-Forwarded-For": "192.0.2.1"})).status_code == 401
        async with opened(client.base_url.port or 0, Sent(PROXY), "/ws/agents/writer") as socket:
            await socket.send('{"prompt": "hello"}')
            assert "conversation_id" in str(await socket.recv())
