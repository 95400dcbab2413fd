"""uvicorn's HTTP protocol with a bound on heads, and a way to hang up.

Without the first a client fills the memory with a request that never begins; without the second the connection of a
reader who takes nothing stays until the network gives up.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 1024 * 1024
"""Bound on a head that has not ended. What ends before is judged by `api.middleware.HeadLimit`, with a lower limit."""

_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/problem+json\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%b"
)
_PROBLEM = (
    b'{"type":"head_too_large","title":"Head too large","status":431,'
    b'"detail":"the request line and headers do not end","errors":[],"request_id":null,"retryable":false}'
)


class BoundedHttpProtocol(HttpToolsProtocol):
    """Answers 431 and leaves when a head does not end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._unended_bytes: int | None = None
        """What came of a head that has not ended; None: no head is under way."""

    def on_message_begin(self) -> None:
        self._unended_bytes = 0
        super().on_message_begin()
        self.scope["extensions"] = {"agio.hang_up": {"call": self.transport.abort}}

    def on_headers_complete(self) -> None:
        self._unended_bytes = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._unended_bytes is None:
            return
        self._unended_bytes += len(data)
        if self._unended_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_REFUSAL % (len(_PROBLEM), _PROBLEM))
            self.transport.close()
