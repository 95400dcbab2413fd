"""What every method of the port does around its work, and what the methods work with."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from agio.domain.approvals import Approval
from agio.storage.mongo.blobs import Blobs
from agio.storage.mongo.database import Database
from agio.storage.mongo.entries import Entries
from agio.storage.mongo.failures import MONGO_ERRORS
from agio.storage.mongo.kinds import Kinds
from agio.storage.mongo.records import Records
from agio.storage.mongo.run_records import RunRecords
from agio.storage.mongo.snapshots import Snapshots
from agio.storage.mongo.turns import Turns

P = ParamSpec("P")
T = TypeVar("T")


class Part:
    """A part of the store: some methods of the port. `MongoStore` is made of all parts."""

    _database: Database
    _blobs: Blobs
    _runs: RunRecords
    _entries: Entries
    _kinds: Kinds
    _approvals: Records[Approval]
    _snapshots: Snapshots
    _turns: Turns


S = TypeVar("S", bound=Part)


Method: TypeAlias = Callable[Concatenate[S, P], Coroutine[Any, Any, T]]


def named(method: Method[S, P, T]) -> Method[S, P, T]:
    """Name the errors of MongoDB in the domain's words."""

    @wraps(method)
    async def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await method(self, *args, **kwargs)
        except MONGO_ERRORS as error:
            raise self._database.named(error) from self._database.cause(error)

    return call


def read(method: Method[S, P, T]) -> Method[S, P, T]:
    """As `named`; and let the caller be cancelled without breaking the connection.

    Cancelling PyMongo closes its connection; on Python 3.11 it may also swallow the cancellation, so that a
    caller who reads in a loop would never end.
    """

    @named
    @wraps(method)
    async def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._database.commits.finish(method(self, *args, **kwargs))

    return call


def write(method: Method[S, P, T]) -> Method[S, P, T]:
    """As `named`; and finish the work even when the caller is cancelled, and log it if that fails."""

    @named
    @wraps(method)
    async def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._database.commits.finish(method(self, *args, **kwargs), tell=True)

    return call
