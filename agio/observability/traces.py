"""What the rest of a process needs to know of its traces, whether the library for them is installed or not."""

from contextlib import AbstractContextManager
from typing import Protocol


class Traces(Protocol):
    """The spans of a process, on their way to a collector."""

    def within(self, traceparent: str) -> AbstractContextManager[None]:
        """Let what begins inside belong to a caller's span, given as W3C `traceparent`; nonsense is passed over."""
        ...

    def close(self) -> None:
        """Send what is left, for a few seconds at most. Blocks."""
        ...
