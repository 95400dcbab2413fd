import asyncio
import threading
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum
from functools import partial
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from agio.domain.errors import ToolError
from agio.tools import FunctionTool, ToolContext, tool
from tests.unit.tools.calls import call, make_context


def test_bare_decorator_takes_everything_from_the_function():
    @tool
    def add(left: int, right: int = 2) -> int:
        """Add two numbers.

        Args:
            left: The first one.
            right: The second one.
        """
        return left + right

    assert isinstance(add, FunctionTool)
    assert (add.name, add.description, add.source) == ("add", "Add two numbers.", "code")
    assert add.parameters == {
        "type": "object",
        "properties": {
            "left": {"type": "integer", "description": "The first one."},
            "right": {"type": "integer", "description": "The second one.", "default": 2},
        },
        "required": ["left"],
        "additionalProperties": False,
    }
    assert (add.idempotent, add.side_effects, add.requires_approval, add.timeout_s) == (False, True, False, 60.0)


def test_arguments_of_the_decorator_win():
    @tool(name="sum", description="Sum.", timeout_s=3, idempotent=True, requires_approval=True, side_effects=False)
    async def add(left: int) -> int:
        """Not this."""
        return left

    assert (add.name, add.description, add.timeout_s) == ("sum", "Sum.", 3)
    assert (add.idempotent, add.requires_approval, add.side_effects) == (True, True, False)


async def test_tool_is_still_the_function():
    @tool
    def add(left: int, right: int = 1) -> int:
        return left + right

    @tool
    async def later(text: str) -> str:
        return text

    assert add(1, right=2) == 3
    assert add.function(1) == 2
    assert await later("x") == "x"
    assert replace(add, source="builtin")(1) == 2


async def test_context_is_injected_and_not_shown():
    @tool
    async def who(name: str, context: ToolContext) -> str:
        return f"{name} in {context.run_id}"

    @tool
    def optional(ctx: ToolContext | None = None) -> str:
        return ctx.idempotency_key if ctx else "nobody"

    assert list(who.parameters["properties"]) == ["name"]
    assert await call(who, name="Ann") == "Ann in run-1"
    assert optional.parameters["properties"] == {}
    assert await call(optional) == "run-1:call-1"
    assert optional() == "nobody"


async def test_annotated_context_is_injected_too():
    @tool
    async def who(context: Annotated[ToolContext, "of this call"]) -> str:
        return context.run_id

    assert await call(who) == "run-1"


async def test_model_cannot_fill_in_the_context():
    @tool
    async def who(context: ToolContext) -> str:
        return context.run_id

    with pytest.raises(ToolError, match="'context' is unknown; known are: none"):
        await call(who, context={"run_id": "other"})


class Colour(Enum):
    RED = "red"


class Place(BaseModel):
    city: str
    zip_code: int = Field(ge=0)


@dataclass
class Point:
    x: int


async def test_arguments_become_the_types_of_the_function():
    seen: list[Any] = []

    @tool
    async def take(
        count: int,
        day: date,
        colour: Colour,
        place: Place,
        point: Point,
        tags: set[str],
        size: Literal["s", "l"],
        maybe: float | None = None,
        *,
        copy: bool = False,
        schema: str = "x",
    ) -> None:
        seen.extend([count, day, colour, place, point, tags, size, maybe, copy, schema])

    await call(
        take,
        count="5",
        day="2026-01-02",
        colour="red",
        place={"city": "Rome", "zip_code": 1},
        point={"x": 1},
        tags=["a", "a"],
        size="s",
        copy=True,
    )
    place = Place(city="Rome", zip_code=1)
    assert seen == [5, date(2026, 1, 2), Colour.RED, place, Point(1), {"a"}, "s", None, True, "x"]
    assert take.parameters["$defs"]["Place"]["properties"]["zip_code"]["minimum"] == 0
    assert take.parameters["properties"]["place"] == {"$ref": "#/$defs/Place"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Argument 'count' is missing."),
        ({"count": "many"}, "Argument 'count': Input should be a valid integer"),
        ({"count": 11}, "Argument 'count': Input should be less than or equal to 10"),
        ({"count": 1, "place": {"city": "Rome", "zip_code": -1}}, "Argument 'place.zip_code': Input should be"),
        ({"count": 1, "colour": 1}, "Argument 'colour' is unknown; known are: count, place."),
    ],
)
async def test_wrong_arguments_are_named_and_the_function_is_not_called(arguments: dict[str, Any], message: str):
    @tool
    async def take(count: Annotated[int, Field(le=10)], place: Place | None = None) -> None:
        pytest.fail("called with wrong arguments")

    with pytest.raises(ToolError) as caught:
        await call(take, **arguments)
    assert str(caught.value).startswith(message)
    assert caught.value.code == "invalid_arguments"


async def test_every_wrong_argument_is_named_at_once():
    @tool
    async def take(left: int, right: int) -> None: ...

    with pytest.raises(ToolError, match=r"'left'.*'right'"):
        await call(take, left="x")


def test_own_field_description_wins_over_the_docstring():
    @tool
    async def take(left: Annotated[int, Field(description="mine")]) -> None:
        """Take.

        Args:
            left: The docstring's.
        """

    assert take.parameters["properties"]["left"]["description"] == "mine"


def test_default_that_json_cannot_say_is_not_in_the_schema():
    class Anything:
        pass

    @tool
    async def take(left: Annotated[Any, Field()] = Anything()) -> None: ...  # noqa: B008 - the point of the test

    assert "default" not in take.parameters["properties"]["left"]


async def test_synchronous_function_runs_in_a_thread_and_an_async_one_does_not():
    @tool
    def there() -> str:
        return threading.current_thread().name

    @tool
    async def here() -> str:
        return threading.current_thread().name

    assert await call(there) == "agio-tool"
    assert await call(here) == threading.current_thread().name


async def test_methods_partials_and_callable_objects_can_be_tools():
    class Shop:
        async def price(self, item: str) -> str:
            """Tell a price."""
            return f"{item}: 3"

        async def __call__(self, item: str) -> str:
            return f"called {item}"

    def multiply(left: int, right: int) -> int:
        return left * right

    assert await call(tool(Shop().price), item="tea") == "tea: 3"
    assert await call(tool(name="shop")(Shop()), item="tea") == "called tea"
    assert await call(tool(name="double")(partial(multiply, right=2)), left=4) == "8"


async def test_synchronous_function_may_return_an_awaitable():
    @tool
    def later() -> Any:
        return asyncio.sleep(0, "done")

    # `asyncio.sleep` is not started in the thread, only made there.
    assert await call(later) == "done"


def _generator():
    yield 1


async def _async_generator():
    yield 1


def _untyped(left) -> None: ...


def _many(*left: int) -> None: ...


def _positional(left: int, /) -> None: ...


def _no_schema(left: threading.Lock) -> None: ...


def _unknown(left: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821 - the point of the test


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_generator, "generator"),
        (_async_generator, "generator"),
        (_untyped, "parameter 'left' of tool '_untyped' needs a type hint"),
        (_many, "cannot be passed by name"),
        (_positional, "cannot be passed by name"),
        (_no_schema, "a type that JSON cannot say"),
        (_unknown, "is not known where it is defined"),
        (tool(name="made")(lambda: 1), "'made' is a tool already"),
    ],
)
def test_functions_that_cannot_be_tools_are_refused_at_once(function: Any, message: str):
    with pytest.raises(TypeError, match=message):
        tool(function)


def test_names_and_time_limits_are_checked():
    with pytest.raises(ValueError, match="pass name="):
        tool(lambda: 1)
    with pytest.raises(ValueError, match="timeout_s of tool 'x' must be above 0"):
        tool(name="x", timeout_s=0)(lambda: 1)


def test_approval_is_decided_on_converted_arguments_with_defaults():
    @tool(requires_approval=lambda arguments: arguments["amount"] > 100 and not arguments["dry"])
    async def pay(amount: int, dry: bool = False) -> None: ...

    assert pay.needs_approval({"amount": 101})
    assert pay.needs_approval({"amount": "101"})
    assert not pay.needs_approval({"amount": 100})
    assert not pay.needs_approval({"amount": 101, "dry": True})


def test_approval_that_fails_asks_a_person(caplog: pytest.LogCaptureFixture):
    @tool(requires_approval=lambda arguments: arguments["nothing"])
    async def pay(amount: int) -> None: ...

    assert pay.needs_approval({"amount": 1})
    assert "a person is asked" in caplog.text


async def test_arguments_that_cannot_run_need_no_approval():
    @tool(requires_approval=lambda arguments: True)
    async def pay(amount: int) -> None: ...

    assert not pay.needs_approval({"amount": "much"})
    with pytest.raises(ToolError, match="'amount'"):
        await pay.call(make_context(), {"amount": "much"})
