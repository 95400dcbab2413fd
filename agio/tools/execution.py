"""The one wrapper around every tool call: arguments, time limit, result, errors."""

import asyncio
import json
import logging
import math
from dataclasses import replace
from typing import Any, NoReturn

from pydantic_core import PydanticSerializationError, to_json

from agio.domain.errors import ToolError
from agio.tools.base import Tool, ToolContext
from agio.tools.decorator import FunctionTool
from agio.tools.schema import check_arguments

logger = logging.getLogger(__name__)

MAX_RESULT_BYTES = 1_000_000
"""Longest result that goes into the history, in bytes of UTF-8."""
MAX_ERROR_CHARS = 4_000
"""Longest message of a `ToolError` that a model is shown, in characters."""


async def execute(tool: Tool, context: ToolContext, arguments_text: str, *, max_bytes: int = MAX_RESULT_BYTES) -> str:
    """Call a tool and return its result as text of at most `max_bytes`.

    The context that the tool gets says `is_cancelled` also after its time limit.

    Args:
        tool: What to call. Approval is the caller's business.
        context: The call it serves.
        arguments_text: The arguments as the model wrote them: a JSON object, or nothing for an empty one.
        max_bytes: A longer result is cut off and says so.

    Raises:
        ToolError: `invalid_arguments`, `tool_timeout`, `tool_failed`, or the tool's own.
        CancelledError: the caller was cancelled, and the tool with it.
    """
    arguments = decode_arguments(arguments_text)
    if not isinstance(tool, FunctionTool):
        check_arguments(tool.parameters, arguments)
    result = await _call(tool, context, arguments)
    return _bound(_to_text(tool, result), max_bytes)


def decode_arguments(text: str) -> dict[str, Any]:
    """Return the arguments object that a model wrote.

    Raises:
        ToolError: `invalid_arguments`; the text is not a JSON object.
    """
    if not text.strip():
        return {}
    try:
        arguments = json.loads(text, parse_constant=_refuse_number, parse_float=_parse_float)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        message = f"The arguments are not valid JSON: {error.msg} at {where}. Send one JSON object."
        raise ToolError(message, code="invalid_arguments") from error
    except (ValueError, RecursionError) as error:
        message = "The arguments hold a number that is too large, or are nested too deeply."
        raise ToolError(message, code="invalid_arguments") from error
    if not isinstance(arguments, dict):
        raise ToolError("The arguments must be one JSON object.", code="invalid_arguments")
    return arguments


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(text)


def _parse_float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse_number(text)


async def _call(tool: Tool, context: ToolContext, arguments: dict[str, Any]) -> Any:
    ended = False
    watched = replace(context, is_cancelled=lambda: ended or context.is_cancelled())
    limit = asyncio.timeout(tool.timeout_s)
    try:
        async with limit:
            return await tool.call(watched, arguments)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancelled us: the tool awaited something of its own that was.
        raise _failed(tool, watched, error) from error
    except ToolError as error:
        if len(str(error)) <= MAX_ERROR_CHARS:
            raise
        raise ToolError(str(error)[:MAX_ERROR_CHARS] + " [cut off]", code=error.code) from error
    except (Exception, SystemExit) as error:
        if limit.expired():
            message = f"Tool {tool.name!r} did not answer within {tool.timeout_s:g} s."
            raise ToolError(message, code="tool_timeout") from error
        raise _failed(tool, watched, error) from error
    finally:
        ended = True


def _failed(tool: Tool, context: ToolContext, error: BaseException) -> ToolError:
    """Log what happened. The model is not told: the text may hold secrets, such as a URL with a key."""
    logger.warning(
        "tool failed",
        extra={"run_id": context.run_id, "tool_call_id": context.tool_call_id, "tool": tool.name},
        exc_info=error,
    )
    return ToolError(f"Tool {tool.name!r} failed unexpectedly; the reason is in the server's log.")


def _to_text(tool: Tool, result: Any) -> str:
    if isinstance(result, str):
        # A lone surrogate has no UTF-8, so that nothing could store or send it.
        return result if result.isascii() else result.encode(errors="replace").decode()
    try:
        return to_json(result, inf_nan_mode="null").decode()
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        message = f"Tool {tool.name!r} worked, but its result cannot be written as JSON."
        raise ToolError(message) from error


def _bound(text: str, max_bytes: int) -> str:
    if len(text) <= max_bytes // 4:
        return text
    encoded = text.encode()
    if len(encoded) <= max_bytes:
        return text
    marker = f"\n[cut off: the result had {len(encoded)} bytes, of which at most {max_bytes} are kept]"
    return encoded[: max(0, max_bytes - len(marker))].decode(errors="ignore") + marker
