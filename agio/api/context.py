"""What routes are given: the engine and the caller."""

from typing import Annotated, Protocol

from fastapi import Depends, Request

from agio.domain.errors import StoreUnavailable
from agio.engine.caller import Caller
from agio.engine.engine import Engine


class Runtime(Protocol):
    """What the composition root hands to the edge."""

    engine: Engine
    ready: bool
    """The store is open and the worker works."""
    draining: bool
    """The process was told to stop."""

    async def start(self) -> None:
        """Open the store and start the worker; in the background while the database is away."""
        ...

    async def stop(self) -> None:
        """Hand runs over and close everything."""
        ...


def get_runtime(request: Request) -> Runtime:
    """Return the application's runtime."""
    runtime: Runtime = request.app.state.runtime
    return runtime


def get_engine(request: Request) -> Engine:
    """Return the engine.

    Raises:
        StoreUnavailable: the store has not been opened yet.
    """
    runtime = get_runtime(request)
    if not runtime.ready:
        raise StoreUnavailable("the database cannot be reached yet; the server keeps trying")
    return runtime.engine


def get_caller(request: Request) -> Caller:
    """Return who calls. Without authentication everyone is `anonymous` of the group `default`."""
    caller: Caller = getattr(request.state, "caller", None) or Caller()
    return caller


EngineDep = Annotated[Engine, Depends(get_engine)]
CallerDep = Annotated[Caller, Depends(get_caller)]
RuntimeDep = Annotated[Runtime, Depends(get_runtime)]
