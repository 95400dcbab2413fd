"""`X-LLM-API-KEY`: the model provider's key that came with a request."""

from typing import Protocol

from starlette.exceptions import WebSocketException
from starlette.requests import HTTPConnection

from agio.api.refusals import POLICY_VIOLATION
from agio.domain.errors import Invalid
from agio.domain.llm_keys import CallersKey

HEADER = "X-LLM-API-KEY"
MOST_CHARS = 1000


class Names(Protocol):
    """Names of providers; implemented by the engine's `Providers`."""

    def knows(self, name: str) -> bool:
        """Say whether there is a provider of that name."""
        ...

    def canonical(self, name: str) -> str:
        """Return the one name of a provider that has several."""
        ...


def read_callers_key(connection: HTTPConnection, providers: Names) -> CallersKey | None:
    """Return the key of a request; None: it brought none.

    `<provider>:<key>` is for that provider alone, if it is the name of one; any other text is a key for whichever
    provider the run calls.

    Raises:
        Invalid: it cannot be a key. The text is not in the message.
        WebSocketException: the same, of a handshake.
    """
    text = connection.headers.get(HEADER, "").strip()
    if not text:
        return None
    prefix, colon, rest = text.partition(":")
    is_named = bool(colon) and providers.knows(prefix)
    key = rest.strip() if is_named else text
    if not key or len(key) > MOST_CHARS or not (key.isascii() and key.isprintable()):
        problem = f"{HEADER} is <key> or <provider>:<key>, printable and of {MOST_CHARS} characters at most"
        if connection.scope["type"] == "websocket":
            raise WebSocketException(POLICY_VIOLATION, problem[:120])
        raise Invalid(problem, field=HEADER)
    return CallersKey(key, providers.canonical(prefix) if is_named else None)
