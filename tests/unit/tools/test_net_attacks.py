"""Attempts to reach a service inside through a tool, over real sockets: by how its address is written, by redirects."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from ipaddress import ip_network

import pytest

from agio.domain.errors import ToolError
from agio.tools.addresses import AddressPolicy
from agio.tools.base import Tool
from agio.tools.http_tool import make_http_tool
from agio.tools.net import GuardedClient, NetworkPolicy, WebRequest
from tests.unit.tools.calls import call
from tests.unit.tools.test_http_tool import stored

OPEN = "127.0.0.2"
"""The one address that the policy of these tests lets through."""
SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "017700000001",
    "0177.1",
    "0177.0.0.1",
    "127.0.0.1.",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "１２７.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "0",
    "0.0.0.0",
    "[::]",
    "localhost",
    "LOCALHOST.",
    "inside.test",
    "user@127.0.0.1",
    "127.0.0.2@127.0.0.1",
    "127.0.0.2\\@127.0.0.1",
    "127.0.0.1%00.example.com",
    "127.0.0.1\t",
]


async def resolve(host: str, port: int) -> list[str]:
    """Answer as the C library does for numbers, without asking anybody."""
    if host.lower().rstrip(".") in ("localhost", "inside.test"):
        return ["127.0.0.1"]
    try:
        return [socket.inet_ntoa(socket.inet_aton(host))]
    except OSError:
        raise OSError("unknown host") from None


@asynccontextmanager
async def vault_with(places: Sequence[str]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve what nobody may reach, and at the open address an accomplice that redirects to `places`."""
    visits: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        target = head.split(b" ")[1]
        if writer.get_extra_info("sockname")[0] != OPEN:
            visits.append(head)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
        elif b"?to=" in target:
            place = places[int(target.partition(b"?to=")[2])]
            writer.write(f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode())
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nopen")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    accomplice = await asyncio.start_server(answer, OPEN, port)
    async with server, accomplice:
        yield port, visits


def vault() -> AbstractAsyncContextManager[tuple[int, list[bytes]]]:
    """Serve the same without redirects."""
    return vault_with(())


def _client() -> GuardedClient:
    addresses = AddressPolicy(networks=(ip_network(f"{OPEN}/32"),))
    return GuardedClient(NetworkPolicy(addresses=addresses, timeout_s=10), resolve=resolve)


async def test_no_spelling_of_an_inner_address_gets_through():
    async with vault() as (port, visits):
        for spelling in SPELLINGS:
            for scheme in ("http", "HTTP"):
                with pytest.raises(ToolError):
                    await _client().send(WebRequest(url=f"{scheme}://{spelling}:{port}/"))
        assert visits == []


async def test_no_redirect_leads_inside():
    places: list[str] = []
    async with vault_with(places) as (port, visits):
        places += [f"{start}{spelling}:{port}/" for spelling in SPELLINGS for start in ("http://", "//")]
        for number in range(len(places)):
            with pytest.raises(ToolError):
                await _client().send(WebRequest(url=f"http://{OPEN}:{port}/?to={number}"))
        assert visits == []


async def test_name_that_turns_inward_between_check_and_connection_is_not_asked_again():
    """The connection goes to the address that was checked; a second look-up would find the vault."""
    answers = [OPEN]

    async def rebind(host: str, port: int) -> list[str]:
        return [answers.pop(0) if answers else "127.0.0.1"]

    async with vault() as (port, visits):
        addresses = AddressPolicy(networks=(ip_network(f"{OPEN}/32"),))
        client = GuardedClient(NetworkPolicy(addresses=addresses), resolve=rebind)
        answer = await client.send(WebRequest(url=f"http://rebind.test:{port}/"))
        assert (answer.text, answers) == ("open", [])
        with pytest.raises(ToolError, match="not allowed"):
            await client.send(WebRequest(url=f"http://rebind.test:{port}/"))
        assert visits == []


async def test_one_inner_address_among_outer_ones_refuses_the_name():
    async def mixed(host: str, port: int) -> list[str]:
        return [OPEN, "127.0.0.1"]

    async with vault() as (port, visits):
        addresses = AddressPolicy(networks=(ip_network(f"{OPEN}/32"),))
        with pytest.raises(ToolError, match="not allowed"):
            await GuardedClient(NetworkPolicy(addresses=addresses), resolve=mixed).send(
                WebRequest(url=f"http://mixed.test:{port}/")
            )
        assert visits == []


@pytest.mark.parametrize(
    "value",
    [
        "@127.0.0.1",
        "//127.0.0.1",
        "/../../x",
        "?x=1#",
        "\\\\127.0.0.1",
        "\r\nHost: 127.0.0.1\r\n\r\n",
        "%0d%0aX: y",
        "..;/",
    ],
)
async def test_argument_of_a_tool_moves_it_to_no_other_host(value: str):
    async with vault() as (port, visits):
        made = make_http_tool(
            stored({"url": f"http://{OPEN}:{port}/a/{{place}}?q={{place}}", "headers": {"X-Place": "to {place}"}}),
            _client(),
        )
        assert await _outcome(made, value) in ("open", "invalid_arguments")
        assert visits == []


async def _outcome(made: Tool, value: str) -> str:
    try:
        return await call(made, place=value)
    except ToolError as refused:
        return refused.code


async def test_vault_can_be_reached_by_who_may():
    """Else the other tests would prove nothing."""
    async with vault() as (port, visits):
        client = GuardedClient(NetworkPolicy(addresses=AddressPolicy(allow_private=True)), resolve=resolve)
        assert (await client.send(WebRequest(url=f"http://inside.test:{port}/"))).text == "secret"
        assert len(visits) == 1
