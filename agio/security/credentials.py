"""What a request brings to be recognised by. Reads ASGI scopes; knows no framework."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote_plus

COOKIE = "agio_session"

BEARER_PROTOCOL = "bearer."
KEY_PROTOCOL = "api-key."
"""Browsers cannot send headers with a WebSocket, but they can offer sub-protocols: `["agio", "bearer.<token>"]`."""

Place = Literal["api_key", "bearer", "query", "cookie"]


@dataclass(frozen=True, slots=True)
class Credential:
    """One text that may prove who calls."""

    text: str = field(repr=False)
    place: Place


def find_credentials(scope: Mapping[str, Any]) -> list[Credential]:
    """Return what the request brings, in the order in which it is tried.

    A query's `token` and `api_key` count for WebSockets; of other requests `token` does, and only a stream token
    is taken from there: addresses end up in logs.
    """
    headers = list(_headers(scope))
    found = [Credential(value, "api_key") for name, value in headers if name == "x-api-key" and value]
    found += [Credential(token, "bearer") for name, value in headers if name == "authorization" for token in _of(value)]
    is_socket = scope["type"] == "websocket"
    for name, value in parse_qsl(scope.get("query_string", b"").decode("latin-1"), encoding="latin-1"):
        if name == "token":
            found.append(Credential(value, "bearer" if is_socket else "query"))
        elif name == "api_key" and is_socket:
            found.append(Credential(value, "api_key"))
    if is_socket:
        found += _from_protocols(scope.get("subprotocols") or ())
    return found + [Credential(text, "cookie") for text in _cookies(headers)]


def hide_credentials(scope: Any) -> None:
    """Take credentials out of the request's address and sub-protocols: servers log the first, answers name the second.

    Changes the scope in place, for a server logs the one that it made.
    """
    query: bytes = scope.get("query_string", b"")
    if b"=" in query:
        kept = [part for part in query.split(b"&") if unquote_plus(_name(part)) not in ("token", "api_key")]
        if len(kept) < query.count(b"&") + 1:
            scope["query_string"] = b"&".join(kept)
    if scope["type"] == "websocket" and scope.get("subprotocols"):
        scope["subprotocols"] = [one for one in scope["subprotocols"] if not _is_credential(one)]


def _name(part: bytes) -> str:
    return part.partition(b"=")[0].decode("latin-1")


def _headers(scope: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return ((name.decode("latin-1").lower(), value.decode("latin-1").strip()) for name, value in scope["headers"])


def _of(value: str) -> list[str]:
    scheme, _, token = value.partition(" ")
    return [token.strip()] if scheme.lower() == "bearer" and token.strip() else []


def _from_protocols(offered: Iterable[str]) -> list[Credential]:
    found: list[Credential] = []
    for one in offered:
        if one.startswith(BEARER_PROTOCOL):
            found.append(Credential(one.removeprefix(BEARER_PROTOCOL), "bearer"))
        elif one.startswith(KEY_PROTOCOL):
            found.append(Credential(one.removeprefix(KEY_PROTOCOL), "api_key"))
    return found


def _is_credential(protocol: str) -> bool:
    return protocol.startswith((BEARER_PROTOCOL, KEY_PROTOCOL))


def _cookies(headers: Iterable[tuple[str, str]]) -> list[str]:
    found: list[str] = []
    for name, value in headers:
        if name == "cookie":
            jar: SimpleCookie = SimpleCookie()
            try:
                jar.load(value)
            except CookieError:
                continue
            if COOKIE in jar:
                found.append(jar[COOKIE].value)
    return found
