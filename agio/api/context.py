"""What routes, of HTTP and WebSocket alike, are given: the engine and the caller.

All `async`, though nothing is awaited: FastAPI gives each plain function to a thread, which costs more than the
function does.
"""

from typing import Annotated, Protocol

from fastapi import Depends
from starlette.requests import HTTPConnection

from agio.api.callers_key import read_callers_key
from agio.domain.errors import StoreUnavailable, Unsupported
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.security import ANYONE, Access, LlmKeys, Principal
from agio.settings import Settings

DEFAULT_SESSION_TIMEOUT_S = 3600.0


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


async def get_runtime(connection: HTTPConnection) -> Runtime:
    """Return the application's runtime."""
    runtime: Runtime = connection.app.state.runtime
    return runtime


async def get_engine(connection: HTTPConnection) -> Engine:
    """Return the engine.

    Raises:
        StoreUnavailable: the store has not been opened yet.
    """
    runtime = await get_runtime(connection)
    if not runtime.ready:
        raise StoreUnavailable("the database cannot be reached yet; the server keeps trying")
    return runtime.engine


EngineDep = Annotated[Engine, Depends(get_engine)]


async def get_access(connection: HTTPConnection) -> Access:
    """Return the access layer."""
    access: Access = connection.app.state.access
    return access


async def get_principal(connection: HTTPConnection) -> Principal:
    """Return who calls, with what it may do."""
    principal: Principal = getattr(connection.state, "principal", None) or ANYONE
    return principal


async def get_caller(connection: HTTPConnection) -> Caller:
    """Return for whom a use case works: what an embedding application says, else who was recognised."""
    caller: Caller | None = getattr(connection.state, "caller", None)
    if caller is not None:
        return caller
    principal = await get_principal(connection)
    runtime: Runtime | None = getattr(connection.app.state, "runtime", None)
    key = read_callers_key(connection, runtime.engine.providers) if runtime else None
    return Caller(name=principal.name, group_id=principal.group_id, user_id=principal.user_id, llm_key=key)


async def get_llm_keys(engine: EngineDep) -> LlmKeys:
    """Return the keys that users and groups have left for their runs.

    Raises:
        Unsupported: this engine was made without.
    """
    if not isinstance(engine.stored_keys, LlmKeys):
        raise Unsupported("this installation keeps no model keys")
    return engine.stored_keys


def get_answer_timeout(connection: HTTPConnection) -> float | None:
    """Return how many seconds a request without a stream may wait for its run; None: as long as it takes."""
    settings: Settings | None = getattr(connection.app.state, "settings", None)
    return settings.answer_timeout_s if settings else None


def get_session_timeout(connection: HTTPConnection) -> float:
    """Return after how many idle seconds the sessions of wires that let them expire do so."""
    settings: Settings | None = getattr(connection.app.state, "settings", None)
    return settings.session_timeout_s if settings else DEFAULT_SESSION_TIMEOUT_S


CallerDep = Annotated[Caller, Depends(get_caller)]
RuntimeDep = Annotated[Runtime, Depends(get_runtime)]
AccessDep = Annotated[Access, Depends(get_access)]
PrincipalDep = Annotated[Principal, Depends(get_principal)]
LlmKeysDep = Annotated[LlmKeys, Depends(get_llm_keys)]
