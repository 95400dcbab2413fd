"""Crews as Kasal's clients write them down, `agents_yaml` and `tasks_yaml`, read as crews. Pure.

What is wrong is collected with its place; what is known elsewhere but has no effect here is a warning.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from agio.api.native.schemas.workflows import CrewBody, MemberFields, TaskFields, read_yaml
from agio.domain.crew import Crew, CrewTask, Member, Process, find_crew_flaws
from agio.domain.crews import Written
from agio.domain.errors import Invalid
from agio.domain.workflow import Flaw

AGENTS, TASKS = "agents_yaml", "tasks_yaml"
_RENAMED = {"max_iter": "max_steps", "name": "name"}
_OF_AGENTS = frozenset(MemberFields.model_fields) | {"name"}
_OF_TASKS = frozenset(TaskFields.model_fields) | {"id"}
_NO_EFFECT = frozenset(
    {
        *("memory", "cache", "max_rpm", "max_execution_time", "max_retry_limit", "allow_code_execution"),
        *("code_execution_mode", "step_callback", "respect_context_window", "use_system_prompt", "reasoning"),
        *("max_reasoning_attempts", "inject_date", "embedder", "knowledge_sources", "async_execution"),
        *("human_input", "output_file", "output_json", "output_pydantic", "markdown", "callback", "guardrail"),
        *("converter_cls", "config", "create_directory", "function_calling_llm"),
    }
)
"""Fields that other programs know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewText:
    """A crew as it was written down."""

    name: str
    agents: Written = ""
    tasks: Written = ""
    process: Process = "sequential"
    model: str | None = None
    members: tuple[Member, ...] = ()
    """Stored agents, besides those written down."""
    more_tasks: tuple[CrewTask, ...] = ()
    """Stored tasks, behind those written down."""


@dataclass(slots=True, kw_only=True)
class Reading:
    """What a text means, and what was found on the way."""

    crew: Crew | None = None
    """None: there are errors."""
    errors: list[Flaw] = field(default_factory=list)
    warnings: list[Flaw] = field(default_factory=list)

    def sound(self) -> Crew:
        """Return the crew.

        Raises:
            Invalid: there are errors; names the first and its place.
        """
        if self.crew is None:
            first, more = self.errors[0], len(self.errors) - 1
            others = f" (and {more} more; POST /api/v1/crews/debug lists all)" if more else ""
            raise Invalid(f"{first.field}: {first.message}{others}", field=first.field)
        return self.crew


def read_crew(text: CrewText) -> Reading:
    """Read a crew."""
    reading = Reading()
    agents = _records(text.agents, AGENTS, "agents", "name", reading)
    tasks = _records(text.tasks, TASKS, "tasks", "id", reading)
    if not tasks and not text.more_tasks and not reading.errors:
        reading.errors.append(Flaw(field=TASKS, message="a crew has at least one task"))
    if reading.errors:
        return reading
    agents = [_known(one, AGENTS, "name", _OF_AGENTS, reading) for one in agents]
    tasks = [_known(one, TASKS, "id", _OF_TASKS, reading) for one in tasks]
    crew = _build(text, agents, tasks, reading)
    if crew is None:
        return reading
    reading.errors += [replace(flaw, field=place_of(flaw.field, crew)) for flaw in find_crew_flaws(crew)]
    reading.crew = None if reading.errors else crew
    return reading


def place_of(field: str, crew: Crew) -> str:
    """Return where in the texts the field of a crew stands."""
    named = {"agents": [m.name for m in crew.members], "tasks": [t.id for t in crew.tasks]}
    return _place(field.split("."), named)


def _records(given: Written, at: str, wrapper: str, key: str, reading: Reading) -> list[dict[str, Any]]:
    """Return what a text lists, each with its name or id in it."""
    try:
        said = read_yaml(given) if isinstance(given, str) else given
    except Invalid as error:
        reading.errors.append(Flaw(field=at, message=str(error)))
        return []
    if isinstance(said, dict) and said.keys() == {wrapper}:
        said = said[wrapper]
    if said is None:
        return []
    if isinstance(said, dict):
        said = [{key: str(name), **fields} if isinstance(fields, dict) else fields for name, fields in said.items()]
    if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
        message = f"give {wrapper} by name, each with its fields, such as `researcher: {{role: Researcher}}`"
        reading.errors.append(Flaw(field=at, message=message))
        return []
    return [_named(one, key, f"{wrapper.removesuffix('s')}-{number}") for number, one in enumerate(said, 1)]


def _named(fields: dict[str, Any], key: str, otherwise: str) -> dict[str, Any]:
    """Return a listed record with a name or an id: of tasks, one made from the name."""
    if key in fields:
        return fields
    name = fields.get("name")
    made = "_".join(str(name).split()) if isinstance(name, str) and name.strip() else otherwise
    return {key: made[:64], **fields}


def _known(fields: Mapping[str, Any], at: str, key: str, known: Collection[str], reading: Reading) -> dict[str, Any]:
    """Return the fields that mean something here; warn of the others."""
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        name = _RENAMED.get(name, name) if "max_steps" in known else name
        if name in known:
            if value is not None:
                kept[name] = value
            continue
        why = "has no effect here" if name in _NO_EFFECT else "is not known and was passed over"
        reading.warnings.append(Flaw(field=f"{at}.{fields[key]}.{name}", message=f"{name!r} {why}"))
    return kept


def _build(text: CrewText, agents: list[dict[str, Any]], tasks: list[dict[str, Any]], reading: Reading) -> Crew | None:
    """Return the crew, whether sound or not; None: a field is of a wrong form."""
    placeholder = tasks or [{"id": "task"}]
    given = {"name": text.name, "process": text.process, "model": text.model, "agents": agents, "tasks": placeholder}
    try:
        crew = CrewBody.model_validate({name: value for name, value in given.items() if value is not None}).to_domain()
    except ValidationError as error:
        named = {"agents": [a.get("name") for a in agents], "tasks": [t.get("id") for t in tasks]}
        reading.errors += [
            Flaw(field=_place(map(str, one["loc"]), named), message=str(one["msg"]))
            for one in error.errors(include_url=False)
        ]
        return None
    except Invalid as error:  # of a crew within a crew
        reading.errors.append(Flaw(field=TASKS, message=str(error)))
        return None
    written = crew.tasks if tasks else ()
    return replace(crew, members=(*crew.members, *text.members), tasks=(*written, *text.more_tasks))


def _place(parts: Iterable[str], named: Mapping[str, list[Any]]) -> str:
    """Return where in the texts something stands, by name: `tasks.1.agent` is `tasks_yaml.write.agent`."""
    found = list(parts)
    if not found or found[0] not in named:
        return ".".join(found) or TASKS
    kind, rest = found[0], found[1:]
    if rest and rest[0].isdigit() and int(rest[0]) < len(named[kind]):
        rest[0] = str(named[kind][int(rest[0])])
    return ".".join([AGENTS if kind == "agents" else TASKS, *rest])
