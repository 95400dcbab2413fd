"""The built-in tool `calculator`."""

from agio.domain.errors import ToolError
from agio.tools.builtin.arithmetic import ArithmeticFailure, evaluate, format_number
from agio.tools.decorator import tool


@tool(idempotent=True, side_effects=False, timeout_s=10.0)
async def calculator(expression: str) -> str:
    """Work out an arithmetic expression exactly, instead of guessing it.

    Knows + - * / // % ** and parentheses, the constants pi, e and tau, and the functions abs, sqrt, round, floor,
    ceil, min, max, sum, exp, ln, log(x, base), log10, log2, sin, cos, tan, asin, acos, atan, atan2 (radians),
    degrees, radians, hypot, gcd, factorial and pow.

    Args:
        expression: For example `(3 + 4) * sqrt(2)`.
    """
    try:
        # On the event loop: the limits of `evaluate` keep it in the range of milliseconds.
        return format_number(evaluate(expression))
    except ArithmeticFailure as failure:
        raise ToolError(str(failure), code="invalid_arguments") from failure
