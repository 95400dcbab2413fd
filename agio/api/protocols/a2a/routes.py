"""A2A's routes: cards, JSON-RPC, HTTP+JSON. The document of our API leaves them out: A2A has its own."""

from typing import Annotated, Any

from a2a.compat.v0_3.jsonrpc_adapter import JSONRPC03Adapter
from a2a.compat.v0_3.versions import is_legacy_version
from a2a.server.context import ServerCallContext
from a2a.server.jsonrpc_models import InvalidParamsError, InvalidRequestError
from a2a.server.routes.common import DefaultServerCallContextBuilder
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from a2a.server.routes.rest_routes import create_rest_routes
from a2a.types.a2a_pb2 import AgentCard
from a2a.utils.constants import VERSION_HEADER
from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse, Response
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from agio.api.access import needs
from agio.api.context import AccessDep, CallerDep, EngineDep
from agio.api.protocols.a2a import cards
from agio.api.protocols.a2a.handler import Call, Handler
from agio.api.protocols.feed import find_agent_id
from agio.domain.access import Permission
from agio.domain.agents import PYTHON, Agent
from agio.domain.errors import NotFound
from agio.engine.caller import Caller
from agio.engine.engine import Engine
from agio.security import Access

router = APIRouter(tags=["a2a"], include_in_schema=False)

AgentPath = Annotated[str, Path(max_length=128)]
CARDS = ("agent-card.json", "agent-card", "agent.json")
OLD_CARD = "agent.json"
"""Where 0.2 and 0.3 have it."""


class _Builder(DefaultServerCallContextBuilder):
    """Puts into the call context for whom the call is."""

    def build(self, request: Request) -> ServerCallContext:
        context = super().build(request)
        context.state["agio"] = request.state.a2a
        return context


class _Adapter(JSONRPC03Adapter):
    """0.3's methods; parameters that are wrong are `-32602`, where the sdk says `-32600`."""

    def _generate_error_response(self, request_id: str | int | None, error: Any) -> JSONResponse:
        if type(error) is InvalidRequestError and error.data is not None:
            error = InvalidParamsError(data=error.data)
        return super()._generate_error_response(request_id, error)


class _Dispatcher(JsonRpcDispatcher):
    """JSON-RPC of both versions."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler, context_builder=_Builder(), enable_v0_3_compat=True)
        self._v03_adapter = _Adapter(http_handler=handler, context_builder=_Builder())


_handler = Handler()
_rpc = _Dispatcher(_handler)
_rest = Router(routes=create_rest_routes(_handler, context_builder=_Builder(), enable_v0_3_compat=True))


class _Rest(Response):
    """An answer that the sdk's own routes give."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        inner = {**scope, "path": self._path, "raw_path": self._path.encode(), "root_path": "", "app": None}
        await _rest(inner, receive, send)


# -- cards


@router.get("/.well-known/agent-card.json")
@router.get("/.well-known/agent-card")
@router.get("/.well-known/agent.json")
async def get_card(request: Request, engine: EngineDep, caller: CallerDep, access: AccessDep) -> JSONResponse:
    """The default agent's; without `A2A-Version` for clients of both versions."""
    agent_id = await find_agent_id(request, engine, caller, None)
    card = _card(request, access, await engine.agents.get(caller, agent_id))
    version = request.headers.get(VERSION_HEADER)
    if version is None:
        return JSONResponse(cards.card_of_both(card))
    return JSONResponse(cards.card_0_3(card) if is_legacy_version(version) else cards.card_1_0(card))


@router.get("/a2a/{agent_id}/.well-known/{name}")
async def get_agents_card(
    agent_id: AgentPath, name: str, request: Request, engine: EngineDep, caller: CallerDep, access: AccessDep
) -> JSONResponse:
    """One agent's: 1.0, but 0.3 for who asks for that version or at its path."""
    if name not in CARDS:
        raise NotFound(f"there is no {name!r}; a card is at {', '.join(CARDS)}")
    card = _card(request, access, await engine.agents.get(caller, agent_id))
    version = request.headers.get(VERSION_HEADER, "0.3" if name == OLD_CARD else "1.0")
    return JSONResponse(cards.card_0_3(card) if is_legacy_version(version) else cards.card_1_0(card))


def _card(request: Request, access: Access, agent: Agent) -> AgentCard:
    url = f"{str(request.base_url).rstrip('/')}/a2a/{agent.id}"
    return cards.make_card(agent, url, checks=access.checks)


# -- methods


@router.post("/a2a/{agent_id}")
@router.post("/a2a/{agent_id}/")
async def call_rpc(
    agent_id: AgentPath, request: Request, engine: EngineDep, caller: CallerDep, access: AccessDep
) -> Response:
    """JSON-RPC."""
    await _prepare(request, engine, caller, access, agent_id)
    return await _rpc.handle_requests(request)


@router.get("/a2a/{agent_id}/{path:path}")
@needs(Permission.READ)
async def read_rest(
    agent_id: AgentPath, path: str, request: Request, engine: EngineDep, caller: CallerDep, access: AccessDep
) -> Response:
    """HTTP+JSON."""
    await _prepare(request, engine, caller, access, agent_id)
    return _Rest(f"/{path}")


@router.post("/a2a/{agent_id}/{path:path}")
@router.delete("/a2a/{agent_id}/{path:path}")
async def call_rest(
    agent_id: AgentPath, path: str, request: Request, engine: EngineDep, caller: CallerDep, access: AccessDep
) -> Response:
    """HTTP+JSON."""
    await _prepare(request, engine, caller, access, agent_id)
    return _Rest(f"/{path}")


async def _prepare(request: Request, engine: Engine, caller: Caller, access: Access, agent_id: str) -> None:
    """Note for whom the call is. Raises `NotFound`."""
    agent = await engine.agents.get(caller, agent_id)
    card = _card(request, access, agent)
    version = request.headers.get(VERSION_HEADER) or "0.3"
    is_python = agent.provider == PYTHON
    request.state.a2a = Call(engine, caller, agent_id, card, legacy=is_legacy_version(version), is_python=is_python)
