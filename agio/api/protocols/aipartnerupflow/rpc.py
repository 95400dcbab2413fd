"""JSON-RPC 2.0: envelopes, batches, notifications, error codes. What the methods do is not known here."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from fastapi.responses import JSONResponse, Response

from agio.api.native.schemas.common import check_json
from agio.api.problems import sayable

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
UNAUTHORISED = -32001

MOST_CALLS = 50
"""Calls of one batch."""

CallId: TypeAlias = str | int | float | None


class RpcError(Exception):
    """A call that is answered with an error."""

    def __init__(self, code: int, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call."""

    method: str
    params: Any
    """An object, a list, or None."""
    id: CallId
    is_notification: bool
    """It has no id. Alone it is answered all the same, with the id null (seed conflict C32)."""


Method = Callable[[Call], Awaitable[Any]]
"""Returns a call's result, or a whole answer (a stream). Raises `RpcError`."""


async def answer(body: bytes, method: Method) -> Response:
    """Return the answer to a request: one call, or a batch."""
    try:
        given = _decode(body)
    except RpcError as error:
        return _sent(_error(None, error))
    if not isinstance(given, list):
        made = await _answer_one(given, method)
        return made if isinstance(made, Response) else _sent(made)
    if not given or len(given) > MOST_CALLS:
        text = f"a batch has 1 to {MOST_CALLS} calls, this one {len(given)}"
        return _sent(_error(None, RpcError(INVALID_REQUEST, text)))
    answers = []
    for one in given:
        made = await _answer_one(one, method)
        if isinstance(made, Response):
            await _drop(made)
            made = _error(_id_of(one), RpcError(INVALID_REQUEST, "what answers with a stream has no place in a batch"))
        if not (isinstance(one, dict) and "id" not in one and "method" in one):
            answers.append(made)
    return _sent(answers) if answers else Response(status_code=204)


def _decode(body: bytes) -> Any:
    try:
        return check_json(json.loads(body, parse_constant=_refuse))
    except (ValueError, RecursionError) as error:
        raise RpcError(PARSE_ERROR, f"Parse error: the body is not JSON: {str(error)[:200]}") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


async def _answer_one(given: Any, method: Method) -> dict[str, Any] | Response:
    call_id = _id_of(given)
    try:
        call = _read(given, call_id)
        result = await method(call)
    except RpcError as error:
        return _error(call_id, error)
    if isinstance(result, Response):
        return result
    return envelope(call_id, result)


def _read(given: Any, call_id: CallId) -> Call:
    if not isinstance(given, dict):
        raise RpcError(INVALID_REQUEST, "Invalid Request: a call is an object")
    if given.get("jsonrpc") != "2.0":
        raise RpcError(INVALID_REQUEST, "Invalid Request: 'jsonrpc' must be \"2.0\"")
    if "id" in given and call_id is None and given["id"] is not None:
        raise RpcError(INVALID_REQUEST, "Invalid Request: an id is a text, a number or null")
    if not isinstance(given.get("method"), str):
        raise RpcError(INVALID_REQUEST, "Invalid Request: 'method' must be a text")
    params = given.get("params")
    if params is not None and not isinstance(params, dict | list):
        raise RpcError(INVALID_REQUEST, "Invalid Request: 'params' is an object or a list")
    return Call(method=given["method"], params=params, id=call_id, is_notification="id" not in given)


def _id_of(given: Any) -> CallId:
    found = given.get("id") if isinstance(given, dict) else None
    return found if isinstance(found, str | int | float) and not isinstance(found, bool) else None


def envelope(call_id: CallId, result: Any) -> dict[str, Any]:
    """Return the answer that carries a result."""
    return {"jsonrpc": "2.0", "id": call_id, "result": result}


def _error(call_id: CallId, error: RpcError) -> dict[str, Any]:
    said: dict[str, Any] = {"code": error.code, "message": str(error)}
    if error.data:
        said["data"] = error.data
    return {"jsonrpc": "2.0", "id": call_id, "error": said}


def _sent(body: Any) -> JSONResponse:
    return JSONResponse(sayable(body))


async def _drop(response: Response) -> None:
    """Close a stream that nobody reads."""
    body = getattr(response, "body_iterator", None)
    if body is not None:
        await body.aclose()
