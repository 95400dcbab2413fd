"""`@tool`: makes a tool from a plain function, its type hints and its docstring."""

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import UnionType
from typing import Annotated, Any, Generic, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints, overload

from pydantic import Field, PydanticUserError, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, to_jsonable_python

from agio.domain.errors import ToolError
from agio.tools.base import Tool, ToolContext
from agio.tools.docstring import Docstring, parse_docstring
from agio.tools.schema import TOOL_NAME
from agio.tools.threads import run_in_thread

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
Approval = bool | Callable[[dict[str, Any]], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionTool(Tool, Generic[P, R]):
    """A tool made from a function, which it can still be called as. Validates its own arguments."""

    function: Callable[P, R]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself: no validation, no thread, no time limit."""
        return self.function(*args, **kwargs)


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float = 60.0,
    idempotent: bool = False,
    requires_approval: Approval = False,
    side_effects: bool = True,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float = 60.0,
    idempotent: bool = False,
    requires_approval: Approval = False,
    side_effects: bool = True,
) -> Any:
    """Make a tool from a function, synchronous or not.

    Arguments are validated and converted by their type hints. A parameter annotated `ToolContext` is filled in
    and not shown to the model. A synchronous function runs in a thread, which nothing can stop: a long one should
    look at `ToolContext.is_cancelled`.

    Args:
        name: What the model calls it; default: the function's name.
        description: What the model reads; default: the docstring up to its first section.
        timeout_s: After this many seconds the call is given up.
        idempotent: May be repeated with the same idempotency key after a crash.
        requires_approval: A person must agree first; or a function that decides from the validated arguments,
            and counts as agreeing to ask when it raises.
        side_effects: Changes something outside.

    Raises:
        TypeError: the function cannot be a tool (no type hints, `*args`, a generator).
        ValueError: the name or the time limit is out of bounds.
    """
    make = partial(
        _make_tool,
        name=name,
        description=description,
        timeout_s=timeout_s,
        idempotent=idempotent,
        requires_approval=requires_approval,
        side_effects=side_effects,
    )
    return make if function is None else make(function)


def _make_tool(
    function: Callable[..., Any],
    *,
    name: str | None,
    description: str | None,
    requires_approval: Approval,
    timeout_s: float,
    idempotent: bool,
    side_effects: bool,
) -> FunctionTool[..., Any]:
    name = name or str(getattr(function, "__name__", type(function).__name__))
    _check_tool(function, name, timeout_s)
    docstring = parse_docstring(function.__doc__)
    inputs = _read_inputs(function, name, docstring)
    approval = partial(_decide, requires_approval, inputs) if callable(requires_approval) else requires_approval
    return FunctionTool(
        name=name,
        description=docstring.description if description is None else description,
        parameters=inputs.to_schema(),
        call=_make_call(function, inputs),
        idempotent=idempotent,
        requires_approval=approval,
        side_effects=side_effects,
        timeout_s=timeout_s,
        function=function,
    )


def _check_tool(function: Callable[..., Any], name: str, timeout_s: float) -> None:
    if isinstance(function, Tool):
        raise TypeError(f"{function.name!r} is a tool already")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"tool {name!r} is a generator; return a list or a text instead")
    if not TOOL_NAME.fullmatch(name):
        raise ValueError(f"tool name {name!r} must be 1 to 64 letters, digits, '_' or '-'; pass name=")
    if not timeout_s > 0:
        raise ValueError(f"timeout_s of tool {name!r} must be above 0, not {timeout_s!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Input:
    """One argument that the model fills in."""

    adapter: TypeAdapter[Any]
    required: bool
    default: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    """The arguments of a function, and where its context goes."""

    by_name: Mapping[str, _Input]
    context: str | None

    def to_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the arguments object."""
        adapters = [(name, "validation", one.adapter) for name, one in self.by_name.items()]
        schemas, shared = TypeAdapter.json_schemas(adapters, ref_template="#/$defs/{model}")  # type: ignore[arg-type]  # a list of tuples, inferred too wide
        properties = {name: schemas[(name, "validation")] for name in self.by_name}
        for name, one in self.by_name.items():
            if not one.required:
                properties[name] = {**properties[name], **_default_of(one)}
        required = [name for name, one in self.by_name.items() if one.required]
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
            **({"$defs": shared["$defs"]} if "$defs" in shared else {}),
        }

    def validate(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as the function wants them; absent ones with a default stay absent.

        Raises:
            ToolError: `invalid_arguments`, naming every wrong argument.
        """
        problems = [
            f"Argument {name!r} is unknown; known are: {', '.join(self.by_name) or 'none'}."
            for name in arguments
            if name not in self.by_name
        ]
        values: dict[str, Any] = {}
        for name, one in self.by_name.items():
            if name in arguments:
                try:
                    values[name] = one.adapter.validate_python(arguments[name])
                except ValidationError as error:
                    problems += _describe(name, error)
            elif one.required:
                problems.append(f"Argument {name!r} is missing.")
        if problems:
            raise ToolError(" ".join(problems), code="invalid_arguments")
        return values


def _default_of(one: _Input) -> dict[str, Any]:
    """Say the default in the schema, where JSON can say it."""
    try:
        return {"default": to_jsonable_python(one.default)}
    except (PydanticSerializationError, ValueError):
        return {}


def _describe(name: str, error: ValidationError) -> list[str]:
    return [
        f"Argument {'.'.join(map(str, (name, *problem['loc'])))!r}: {problem['msg']}."
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _read_inputs(function: Callable[..., Any], name: str, docstring: Docstring) -> _Inputs:
    hints = _read_hints(function, name)
    by_name: dict[str, _Input] = {}
    context: str | None = None
    for parameter in inspect.signature(function).parameters.values():
        where = f"parameter {parameter.name!r} of tool {name!r}"
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"{where} cannot be passed by name")
        if parameter.name not in hints:
            raise TypeError(f"{where} needs a type hint")
        if _is_context(hints[parameter.name]):
            context = parameter.name
        else:
            text = docstring.arguments.get(parameter.name)
            by_name[parameter.name] = _read_input(parameter, hints[parameter.name], text, where)
    return _Inputs(by_name=by_name, context=context)


def _read_hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    target = function.func if isinstance(function, partial) else function
    if not inspect.isroutine(target):
        target = type(target).__call__
    try:
        return get_type_hints(target, include_extras=True)
    except NameError as error:
        raise TypeError(f"a type hint of tool {name!r} is not known where it is defined: {error}") from error


def _is_context(hint: Any) -> bool:
    """Tell `ToolContext`, also as `Annotated` or optional."""
    if get_origin(hint) in (Annotated, Union, UnionType):
        return any(_is_context(one) for one in get_args(hint))
    return hint is ToolContext


def _read_input(parameter: inspect.Parameter, hint: Any, text: str | None, where: str) -> _Input:
    described = any(isinstance(one, FieldInfo) and one.description for one in getattr(hint, "__metadata__", ()))
    if text and not described:
        hint = Annotated[hint, Field(description=text)]
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        adapter.json_schema()
    except PydanticUserError as error:
        raise TypeError(f"{where} has a type that JSON cannot say: {error.message}") from error
    return _Input(adapter=adapter, required=parameter.default is parameter.empty, default=parameter.default)


def _make_call(
    function: Callable[..., Any], inputs: _Inputs
) -> Callable[[ToolContext, dict[str, Any]], Awaitable[Any]]:
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with an async `__call__`
    )

    async def call(context: ToolContext, arguments: dict[str, Any]) -> Any:
        values = inputs.validate(arguments)
        if inputs.context is not None:
            values[inputs.context] = context
        bound = partial(function, **values)
        result = bound() if is_async else await run_in_thread(bound)
        return await result if inspect.isawaitable(result) else result

    return call


def _decide(decide: Callable[[dict[str, Any]], bool], inputs: _Inputs, arguments: dict[str, Any]) -> bool:
    """Ask the function, with defaults filled in. Wrong arguments need nobody: the call will fail by itself."""
    try:
        values = inputs.validate(arguments)
    except ToolError:
        return False
    defaults = {name: one.default for name, one in inputs.by_name.items() if not one.required}
    try:
        return bool(decide({**defaults, **values}))
    except Exception:
        logger.exception("requires_approval failed; a person is asked")
        return True
