"""What the lines of a log are about: the request, the run and the worker that they come from."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

_NOTHING: Mapping[str, str] = MappingProxyType({})
_bound: ContextVar[Mapping[str, str]] = ContextVar("agio_log_context", default=_NOTHING)
_of_process: dict[str, str] = {}


@contextmanager
def bound(**facts: str) -> Iterator[None]:
    """Add facts to every line that is logged inside, in this task and in those that it starts."""
    token = _bound.set({**_bound.get(), **facts})
    try:
        yield
    finally:
        _bound.reset(token)


def bind_process(**facts: str) -> None:
    """Add facts to every line that this process logs from now on."""
    _of_process.update(facts)


def present() -> dict[str, str]:
    """Return the facts that hold here and now."""
    return {**_of_process, **_bound.get()}
