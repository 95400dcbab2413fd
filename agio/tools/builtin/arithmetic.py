"""Evaluates arithmetic: a small parser of its own, so that no text can reach a name, an attribute or a loop.

Time and memory are bounded: the text's length, the nesting, and the size of every integer on the way.
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Final

Number = int | float

MAX_CHARS = 1_000
_MAX_DEPTH = 60
_MAX_BITS = 10_000  # of an integer: some 3,000 digits, which still print (Python's limit is 4,300)
_MAX_FACTORIAL = 1_000
_MAX_DIGITS = 100  # second argument of round()

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<operator>\*\*|//|[-+*/%^(),]))"
)
_SPELLINGS = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"})
_CONSTANTS: Final[dict[str, Number]] = {"pi": math.pi, "e": math.e, "tau": math.tau}


class ArithmeticFailure(ValueError):
    """The text is not arithmetic, or has no value within the limits; the message says which."""


def evaluate(text: str) -> Number:
    """Return the value of an expression; integers are exact.

    Raises:
        ArithmeticFailure: for everything that has no finite real value within the limits.
    """
    if len(text) > MAX_CHARS:
        raise ArithmeticFailure(f"The expression is longer than {MAX_CHARS} characters.")
    parser = _Parser(text.translate(_SPELLINGS))
    try:
        return parser.parse()
    except ZeroDivisionError as error:
        raise ArithmeticFailure("Division by zero.") from error
    except OverflowError as error:
        raise ArithmeticFailure("The result is too large.") from error


def format_number(value: Number) -> str:
    """Write a number without binary noise: `0.3` for 0.1 + 0.2, `4` for sqrt(16)."""
    if isinstance(value, int) or abs(value) >= 1e15:
        return repr(value)
    return format(value + 0.0, ".15g")  # the sum of -0.0 and 0.0 is 0.0


class _Parser:
    """Recursive descent, evaluating as it goes.

    sum = product (("+" | "-") product)*; product = sign (("*" | "/" | "//" | "%") sign)*;
    sign = ("+" | "-") sign | power; power = atom (("**" | "^") sign)?;
    atom = number | constant | function "(" sum ("," sum)* ")" | "(" sum ")".
    """

    def __init__(self, text: str) -> None:
        self._symbols = list(_tokenize(text))
        self._position = 0
        self._depth = 0

    def parse(self) -> Number:
        value = self._sum()
        if self._peek():
            raise ArithmeticFailure(f"Did not expect {self._peek()!r}.")
        return value

    def _peek(self) -> str:
        return self._symbols[self._position] if self._position < len(self._symbols) else ""

    def _take(self, *wanted: str) -> str:
        """Return the next token if it is one of those, else nothing."""
        token = self._peek()
        if token not in wanted:
            return ""
        self._position += 1
        return token

    def _expect(self, token: str) -> None:
        if not self._take(token):
            found = self._peek() or "the end"
            raise ArithmeticFailure(f"Expected {token!r}, found {found!r}.")

    def _sum(self) -> Number:
        value = self._product()
        while operator := self._take("+", "-"):
            value = _OPERATIONS[operator](value, self._product())
        return value

    def _product(self) -> Number:
        value = self._sign()
        while operator := self._take("*", "/", "//", "%"):
            value = _OPERATIONS[operator](value, self._sign())
        return value

    def _sign(self) -> Number:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ArithmeticFailure("The expression is nested too deeply.")
        if operator := self._take("+", "-"):
            value = self._sign()
            value = -value if operator == "-" else value
        else:
            value = self._power()
        self._depth -= 1
        return value

    def _power(self) -> Number:
        base = self._atom()
        return _power(base, self._sign()) if self._take("**", "^") else base

    def _atom(self) -> Number:
        symbol = self._peek()
        if not symbol:
            raise ArithmeticFailure("The expression ends too early.")
        self._position += 1
        if symbol == "(":
            value = self._sum()
            self._expect(")")
            return value
        if symbol[0].isdigit() or symbol[0] == ".":
            return _read_number(symbol)
        if symbol in _CONSTANTS:
            return _CONSTANTS[symbol]
        if symbol in _FUNCTIONS:
            return self._call(symbol)
        kind = "name" if symbol[0].isalpha() or symbol[0] == "_" else "sign"
        raise ArithmeticFailure(f"Unknown or misplaced {kind} {symbol!r}.")

    def _call(self, name: str) -> Number:
        self._expect("(")
        arguments = [self._sum()]
        while self._take(","):
            arguments.append(self._sum())
        self._expect(")")
        function, least, most = _FUNCTIONS[name]
        if not least <= len(arguments) <= most:
            raise ArithmeticFailure(f"{name}() does not take {len(arguments)} arguments.")
        try:
            return _checked(function(*arguments))
        except (ValueError, TypeError) as error:
            if isinstance(error, ArithmeticFailure):
                raise
            raise ArithmeticFailure(f"{name}() is not defined for that.") from error


def _tokenize(text: str) -> Iterator[str]:
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise ArithmeticFailure(f"Unknown sign {text[position:].lstrip()[0]!r}.")
        yield match[match.lastgroup or 0]
        position = match.end()


def _read_number(token: str) -> Number:
    try:
        return _checked(int(token) if re.fullmatch(r"[0-9_]+", token) else float(token))
    except ValueError as error:
        if isinstance(error, ArithmeticFailure):
            raise
        raise ArithmeticFailure(f"{token!r} is not a number.") from error


def _checked(value: Number) -> Number:
    if isinstance(value, int):
        if value.bit_length() > _MAX_BITS:
            raise ArithmeticFailure("The result is too large.")
    elif not math.isfinite(value):
        raise ArithmeticFailure("The result is too large or undefined.")
    return value


def _power(base: Number, exponent: Number) -> Number:
    # Checked before: the power of two modest integers can fill the memory.
    if isinstance(base, int) and isinstance(exponent, int):
        if exponent * max(base.bit_length() - 1, 0) > _MAX_BITS:
            raise ArithmeticFailure("The power is too large.")
    result = base**exponent
    if isinstance(result, complex):
        raise ArithmeticFailure("That root is not a real number.")
    return _checked(result)


def _factorial(value: Number) -> int:
    if not isinstance(value, int) or not 0 <= value <= _MAX_FACTORIAL:
        raise ArithmeticFailure(f"factorial() takes an integer from 0 to {_MAX_FACTORIAL}.")
    return math.factorial(value)


def _round(value: Number, digits: Number = 0) -> Number:
    if not isinstance(digits, int) or abs(digits) > _MAX_DIGITS:
        raise ArithmeticFailure(f"round() takes an integer from -{_MAX_DIGITS} to {_MAX_DIGITS} as digits.")
    return round(value, digits) if digits else round(value)


def _gcd(*values: Number) -> int:
    return math.gcd(*(_whole(value) for value in values))


def _whole(value: Number) -> int:
    if isinstance(value, int):
        return value
    raise ArithmeticFailure("Only whole numbers have a common divisor.")


_OPERATIONS: Final[dict[str, Callable[[Number, Number], Number]]] = {
    "+": lambda left, right: _checked(left + right),
    "-": lambda left, right: _checked(left - right),
    "*": lambda left, right: _checked(left * right),
    "/": lambda left, right: _checked(left / right),
    "//": lambda left, right: _checked(left // right),
    "%": lambda left, right: _checked(left % right),
}

_MANY = MAX_CHARS
_FUNCTIONS: Final[dict[str, tuple[Callable[..., Number], int, int]]] = {
    # name: (function, least and most arguments)
    "abs": (abs, 1, 1),
    "acos": (math.acos, 1, 1),
    "asin": (math.asin, 1, 1),
    "atan": (math.atan, 1, 1),
    "atan2": (math.atan2, 2, 2),
    "ceil": (math.ceil, 1, 1),
    "cos": (math.cos, 1, 1),
    "degrees": (math.degrees, 1, 1),
    "exp": (math.exp, 1, 1),
    "factorial": (_factorial, 1, 1),
    "floor": (math.floor, 1, 1),
    "gcd": (_gcd, 1, _MANY),
    "hypot": (math.hypot, 1, _MANY),
    "ln": (math.log, 1, 1),
    "log": (math.log, 1, 2),
    "log10": (math.log10, 1, 1),
    "log2": (math.log2, 1, 1),
    "max": (max, 1, _MANY),
    "min": (min, 1, _MANY),
    "pow": (_power, 2, 2),
    "radians": (math.radians, 1, 1),
    "round": (_round, 1, 2),
    "sin": (math.sin, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
    "sum": (lambda *values: sum(values), 1, _MANY),
    "tan": (math.tan, 1, 1),
}
