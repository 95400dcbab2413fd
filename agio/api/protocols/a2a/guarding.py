"""Errors of ours as A2A's; what is a mistake of ours is logged, and told without details."""

import functools
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, ParamSpec, TypeVar

from a2a.utils.errors import (
    A2AError,
    InternalError,
    InvalidParamsError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a.utils.proto_utils import validate_proto_required_fields
from google.protobuf.message import Message

from agio.domain import errors as err

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

THEIRS: tuple[tuple[type[err.AgioError], type[A2AError]], ...] = (
    (err.NotFound, TaskNotFoundError),
    (err.Invalid, InvalidParamsError),
    (err.Conflict, UnsupportedOperationError),
    (err.Denied, UnsupportedOperationError),
    (err.LimitExceeded, UnsupportedOperationError),
    (err.AgioError, InternalError),
)


def translate(error: Exception) -> A2AError:
    """Return A2A's error for one of ours."""
    if isinstance(error, A2AError):
        return error
    if isinstance(error, err.AgioError):
        return next(theirs for kind, theirs in THEIRS if isinstance(error, kind))(str(error), {"code": error.code})
    log.error("an A2A request failed inside Agio", exc_info=error)
    return InternalError("something went wrong inside Agio; its log says what")


def guarded(method: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Let a method raise A2A's errors only."""

    @functools.wraps(method)
    async def call(*args: P.args, **options: P.kwargs) -> R:
        try:
            return await method(*args, **options)
        except Exception as error:
            raise translate(error) from error

    return call


def guarded_stream(method: Callable[P, AsyncGenerator[R]]) -> Callable[P, AsyncGenerator[R]]:
    """Let a stream raise A2A's errors only."""

    @functools.wraps(method)
    async def call(*args: P.args, **options: P.kwargs) -> AsyncGenerator[R]:
        try:
            async with aclosing(method(*args, **options)) as items:
                async for item in items:
                    yield item
        except Exception as error:
            raise translate(error) from error

    return call


def checked(params: Message) -> None:
    """Refuse a request without a field that must be there. Raises `InvalidParamsError`."""
    validate_proto_required_fields(params)
