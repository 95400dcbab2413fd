"""Problem bodies (RFC 9457) that readers of FastAPI's and Kasal's errors understand too."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match, Mount, compile_path

from agio.domain import errors as err

log = logging.getLogger(__name__)

STATUS_OF: tuple[tuple[type[err.AgioError], int], ...] = (
    (err.NotFound, 404),
    (err.Conflict, 409),
    (err.Invalid, 422),
    (err.Denied, 403),
    (err.TooMany, 429),
    (err.LimitExceeded, 413),
    (err.ProviderError, 502),
    (err.ToolError, 400),
    (err.Unsupported, 400),
    (err.StoreUnavailable, 503),
    (err.AgioError, 500),
)
"""The one table from domain errors to HTTP statuses; the first class that fits counts."""

TITLES = {
    400: "Bad request",
    401: "Unauthorised",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    422: "Invalid input",
    429: "Too many requests",
    431: "Head too large",
    500: "Internal error",
    502: "Model provider failed",
    503: "Unavailable",
    504: "Timed out",
}
CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "denied",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    422: "validation_error",
}
CURSOR_FIELDS = ("Last-Event-ID", "after")
"""A made-up place in a stream is a bad request, not an invalid body."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
RETRY_AFTER_S = 2


class FieldProblem(BaseModel):
    """One field that is wrong."""

    field: str = Field(examples=["message"])
    message: str = Field(examples=["Field required"])


class Problem(BaseModel):
    """Body of every answer that is not a success."""

    type: str = Field(description="Stable code, for machines.", examples=["not_found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str | list[dict[str, Any]] = Field(
        description="What happened and what to do; for input that breaks the schema the list of findings.",
        examples=["there is no run 'x'"],
    )
    errors: list[FieldProblem] = Field(default_factory=list)
    request_id: str | None = None
    retryable: bool = False
    run_id: str | None = Field(default=None, description="The run that the problem is about, if any.")
    current_status: str | None = Field(default=None, description="Where the run stands, if that is why.")


def problem(
    request: Request,
    status: int,
    code: str,
    detail: str | Sequence[Mapping[str, Any]],
    *,
    errors: Sequence[Mapping[str, str]] = (),
    retryable: bool = False,
    headers: Mapping[str, str] | None = None,
    **extra: Any,
) -> JSONResponse:
    """Return a problem answer. `extra` are further members of the body; None is left out."""
    body = {
        "type": code,
        "title": TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "errors": list(errors),
        "request_id": getattr(request.state, "request_id", None),
        "retryable": retryable,
    }
    body |= {key: value for key, value in extra.items() if value is not None}
    return JSONResponse(sayable(body), status, headers=headers, media_type="application/problem+json")


def sayable(value: Any) -> Any:
    """Return the value without what JSON and UTF-8 cannot say: a refused value may hold it."""
    match value:
        case str():
            return value if value.isascii() else value.encode(errors="replace").decode()
        case float():
            return value if math.isfinite(value) else str(value)
        case dict():
            return {sayable(name): sayable(item) for name, item in value.items()}
        case list() | tuple():
            return [sayable(item) for item in value]
    return value


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses=` of a route that may answer with these problems.

    400 is always among them: FastAPI answers a body that is no text with it; so are the answers of the access layer.
    """
    return {
        status: {
            "description": TITLES[status],
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({400, 401, 403, 413, 422, 429, 503, *statuses})
    }


def status_of(error: err.AgioError) -> int:
    """Return the HTTP status of a domain error."""
    if getattr(error, "field", None) in CURSOR_FIELDS:
        return 400
    return next(status for kind, status in STATUS_OF if isinstance(error, kind))


def answer_error(request: Request, error: err.AgioError) -> JSONResponse:
    """Return the answer to a domain error."""
    status = status_of(error)
    field = getattr(error, "field", None)
    return problem(
        request,
        status,
        error.code,
        str(error),
        errors=[{"field": field, "message": str(error)}] if field else (),
        retryable=error.retryable,
        headers=_retry_headers(error, status),
        current_status=getattr(error, "status", None),
        holder=getattr(error, "holder", None),
    )


def _retry_headers(error: err.AgioError, status: int) -> dict[str, str] | None:
    if isinstance(error, err.TooMany):
        return {"Retry-After": str(math.ceil(error.retry_after_s))}
    return {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None


def install(app: FastAPI) -> None:
    """Let every error of the application answer with a problem body."""

    @app.exception_handler(err.AgioError)
    async def on_domain_error(request: Request, error: err.AgioError) -> JSONResponse:
        return answer_error(request, error)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        findings = findings_of(error)
        fields = [{"field": _field(item["loc"]), "message": str(item["msg"])} for item in findings]
        return problem(request, 422, "validation_error", findings, errors=fields)

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> JSONResponse:
        code = CODES.get(error.status_code, "error")
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(allowed_methods(app, request))
        return problem(request, error.status_code, code, str(error.detail), headers=headers)

    @app.exception_handler(Exception)
    async def on_bug(request: Request, error: Exception) -> JSONResponse:
        return answer_bug(request, error)


def answer_bug(request: Request, error: Exception) -> JSONResponse:
    """Return the answer to a mistake of our own, and tell the operator."""
    log.error("a request failed inside Agio", extra={"path": request.url.path}, exc_info=error)
    # Starlette calls this outside of all middleware where that fails, so the header is not added there.
    request_id = getattr(request.state, "request_id", None)
    headers = {"X-Request-ID": request_id} if request_id else None
    detail = "something went wrong inside Agio; its log says what"
    return problem(request, 500, "internal_error", detail, headers=headers)


def allowed_methods(app: FastAPI, request: Request) -> list[str]:
    """Return every method of the request's path: a route names only its own.

    The document says which these are. `/runs/cancel` is not `/runs/{run_id}`, so the plainest path counts.
    """
    path = request.url.path.replace("/api/v1/", "/api/", 1)
    documented_paths: dict[str, dict[str, Any]] = app.openapi().get("paths", {})
    for template in sorted(documented_paths, key=lambda template: template.count("{")):
        if compile_path(template)[0].match(path):
            return [method for method in METHODS if method.lower() in documented_paths[template]]
    found = []
    for method in METHODS:
        scope = {**request.scope, "method": method, "root_path": request.scope.get("app_root_path", "")}
        if any(route.matches(scope)[0] is Match.FULL for route in app.routes if not isinstance(route, Mount)):
            found.append(method)
    return found or ["GET", "HEAD"]  # files


def findings_of(error: RequestValidationError) -> list[dict[str, Any]]:
    """Return what is wrong with a request, one `{type, loc, msg, input}` each, as Pydantic has it."""
    return [_finding(item) for item in error.errors()]


def _finding(item: Mapping[str, Any]) -> dict[str, Any]:
    """Keep Pydantic's `{type, loc, msg, input}`; where JSON is malformed, say at which character."""
    finding = {"type": item["type"], "loc": list(item["loc"]), "msg": item["msg"]}
    if item["type"] == "json_invalid":
        finding["msg"] = f"{item['msg']}: {item.get('ctx', {}).get('error', '')} at character {item['loc'][-1]}"
    elif isinstance(item.get("input"), bytes):
        finding["msg"] = "the body was not taken for JSON: send it with Content-Type: application/json"
    elif isinstance(item.get("input"), str | int | float | bool | None):
        finding["input"] = item.get("input")
    return finding


def _field(loc: Sequence[Any]) -> str:
    parts = [str(part) for part in loc[1:]] if not isinstance(loc[-1], int) or len(loc) > 2 else []
    return ".".join(parts) or "body"
