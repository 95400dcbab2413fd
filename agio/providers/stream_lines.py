"""Takes a stream of server-sent events apart, read by read."""

_LINE_LIMIT = 16 * 1024 * 1024
"""Bytes of a line that has not ended; more is no model's answer."""


class LineTooLong(Exception):
    """The endpoint sent more than 16 MiB without a line end."""


class DataLines:
    """Gathers reads into the payloads of `data:` lines.

    Works on bytes: a character that is split between two reads is whole again before anyone
    decodes it. Every `data:` line counts as an event of its own, since some endpoints leave the
    blank line between events out and none spreads its JSON over lines. Comments and other fields
    are dropped.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._rest_bytes = 0

    def feed(self, read: bytes) -> list[bytes]:
        """Return the payloads of the lines that this read completes.

        Raises:
            LineTooLong: no line end for 16 MiB.
        """
        lines = read.split(b"\n")
        if len(lines) > 1 and self._rest:
            self._rest.append(lines[0])
            lines[0] = b"".join(self._rest)
            self._rest, self._rest_bytes = [], 0
        last = lines.pop()
        if last:
            self._rest.append(last)
            self._rest_bytes += len(last)
            if self._rest_bytes > _LINE_LIMIT:
                raise LineTooLong
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]

    def flush(self) -> list[bytes]:
        """Return the payload of a last line that never got its line end."""
        return self.feed(b"\n")
