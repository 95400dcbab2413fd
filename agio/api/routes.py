"""How an application gets its routes: worked out once per process, whatever number of applications serve them."""

from fastapi import APIRouter, Depends, FastAPI
from starlette.routing import BaseRoute

from agio.api.access import authorise

_made: dict[tuple[int, str, bool], list[BaseRoute]] = {}


def add_routes(app: FastAPI, router: APIRouter, *, prefix: str = "", include_in_schema: bool = True) -> None:
    """Serve a router's routes below a prefix; whoever calls them is checked first."""
    app.router.routes.extend(_included(router, prefix, include_in_schema))


def work_out(app: FastAPI) -> None:
    """Do now what FastAPI leaves to the first request: half a second of work for all routes."""
    nowhere = {"type": "http", "method": "GET", "path": "//nowhere", "root_path": "", "headers": []}
    for route in app.router.routes:
        route.matches(dict(nowhere))


def _included(router: APIRouter, prefix: str, include_in_schema: bool) -> list[BaseRoute]:
    key = (id(router), prefix, include_in_schema)  # a router has no hash; ours live as long as the process
    if key not in _made:
        # `app.include_router` would have FastAPI read all signatures anew for each application.
        holder = APIRouter(dependencies=[Depends(authorise)])
        holder.include_router(router, prefix=prefix, include_in_schema=include_in_schema)
        _made[key] = holder.routes
    return _made[key]
