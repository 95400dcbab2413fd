"""Answers as the neighbours' clients know them: errors are `{"detail": …}` and no more."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from agio.api.native.schemas.common import Body
from agio.api.problems import RETRY_AFTER_S, TITLES, findings_of, sayable, status_of
from agio.domain.errors import AgioError

Answers: TypeAlias = dict[int | str, dict[str, Any]]
"""The `responses=` of a route."""


class PlainDetail(BaseModel):
    """An answer that is not a success."""

    detail: str


class PlainFindings(BaseModel):
    """What is wrong with a request."""

    detail: list[dict[str, Any]]


class LenientBody(Body):
    """A request body: members that are not known are passed over."""

    model_config = ConfigDict(extra="ignore", strict=True)


class PlainRoute(APIRoute):
    """A route whose errors have a plain body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler, its errors answered."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except AgioError as error:
                status = status_of(error)
                headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None
                return plain(str(error), status, headers=headers)
            except RequestValidationError as error:
                return plain(findings_of(error), 422)
            except HTTPException as error:
                return plain(str(error.detail), error.status_code, headers=dict(error.headers or {}))

        return answer


def plain(detail: Any, status: int, *, headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    """Return an answer that is not a success; `more` are further members."""
    return JSONResponse(sayable({"detail": detail, **more}), status, headers)


def plainly(*statuses: int) -> Answers:
    """Return the `responses=` of a route that may answer with these statuses.

    400, 413, 422, 503 and those of the access layer are always among them; 413 comes from outside of the
    route and has the body of a problem.
    """
    found: Answers = {
        status: {"description": TITLES[status], "model": PlainDetail}
        for status in sorted({400, 401, 403, 429, 503, *statuses})
    }
    found[422] = {"description": TITLES[422], "model": PlainFindings}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    found[413] = {"description": TITLES[413], "content": problem}
    return found


def add_tag(app: FastAPI, name: str, description: str) -> None:
    """Describe a wire in the API's document."""
    app.openapi_tags = [*(app.openapi_tags or []), {"name": name, "description": description}]
