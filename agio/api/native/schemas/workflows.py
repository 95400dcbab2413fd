"""Workflows on the wire."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from agio.api.native.schemas.agents import LongText, NamedTool, ShortText, Tag
from agio.api.native.schemas.common import MAX_DEPTH, SESSION_ID, Body, Instant, JsonObject, View, check_json
from agio.api.native.schemas.runs import BudgetBody, RunId
from agio.domain.crew import Crew, CrewTask, Member
from agio.domain.errors import Invalid
from agio.domain.workflow import DEFAULT_PRIORITY, MAX_TASKS
from agio.engine.trees import TaskState, Tree
from agio.engine.workflows import Fallback, WorkflowRequest

MAX_YAML_CHARS = 200_000

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C, where it is there: the other one would keep every request of the process waiting."""
_OPENING = (
    yaml.FlowSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.BlockMappingStartToken,
)
_CLOSING = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)

TaskId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:@+-]{1,64}$", examples=["research"])]
MemberName = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S", examples=["researcher"])]


def read_yaml(text: str) -> Any:
    """Return what a text in YAML says, of which JSON is a part. Raises `Invalid`."""
    if len(text) > MAX_YAML_CHARS:
        raise Invalid(f"the text has {len(text)} characters; {MAX_YAML_CHARS} are the limit", field="crew")
    try:
        _check_tokens(text)
        return check_json(yaml.load(text, _Loader))  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError) as error:
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise Invalid(f"this is no YAML{where}: {problem}", field="crew") from None


def _check_tokens(text: str) -> None:
    """Refuse what a short text could blow up with: aliases, and nesting without an end."""
    depth = 0
    for token in yaml.scan(text, _Loader):
        if isinstance(token, yaml.AliasToken):
            raise ValueError("aliases are not read here")
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")


def _crew_of(given: Any) -> Any:
    """Read a text as a crew. What is wrong with it no schema could say, so it is `invalid` (see `Invalid`)."""
    return _checked(read_yaml(given)) if isinstance(given, str) else given


def _inner_crew(given: Any) -> Any:
    """Read a crew within a crew: it is not in the schema, which would hold itself."""
    return given if given is None else _checked(given)


def _checked(given: Any) -> "CrewBody":
    try:
        return CrewBody.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(str(part) for part in ("crew", *first["loc"]))
        raise Invalid(str(first["msg"]), field=at) from None


def _by_name(key: str) -> Callable[[Any], Any]:
    """Return what reads `{name: {…}}` as the list `[{key: name, …}]`."""

    def convert(given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        for name, fields in given.items():
            if isinstance(fields, dict) and key in fields:
                raise ValueError(f"{name!r} is the {key} already")
        return [{key: name, **fields} if isinstance(fields, dict) else fields for name, fields in given.items()]

    return convert


class MemberFields(Body):
    """Everything of an agent of a crew but for its name."""

    agent_id: str | None = Field(default=None, min_length=1, max_length=64)
    role: ShortText | None = None
    goal: ShortText | None = None
    backstory: LongText | None = None
    system_prompt: LongText | None = None
    provider: str | None = Field(default=None, min_length=1, max_length=100)
    model: str | None = Field(default=None, min_length=1, max_length=200)
    llm: str | None = Field(default=None, min_length=1, max_length=200, description="Stands for `model`.")
    tools: list[NamedTool] = Field(default_factory=list, max_length=128)
    max_steps: int = Field(default=10, ge=1, le=100_000)
    temperature: float | None = Field(default=None, ge=0, le=2)
    allow_delegation: bool = Field(default=False, description="It may have the others do work.")
    verbose: bool = Field(default=False, description="Has no effect.")


class MemberBody(MemberFields):
    """An agent of a crew: one that is stored (`agent_id`), or described here."""

    name: MemberName

    def to_domain(self) -> Member:
        """Return the domain's form."""
        fields = self.model_dump(exclude={"llm", "verbose", "tools", "model"})
        return Member(tools=tuple(self.tools), model=self.model or self.llm, **fields)


class HttpBody(Body):
    """One request. `{{task id}}` in its texts stands for what that task answered."""

    url: str = Field(min_length=1, max_length=8192)
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    headers: dict[str, str] = Field(default_factory=dict, description="None with credentials: see stored tools.")
    body: Any = Field(default=None, description="A text is sent as it is, anything else as JSON.")


_INNER: dict[str, Any] = {
    "anyOf": [{"type": "object"}, {"type": "null"}],
    "description": "A workflow within this one, of the same form.",
}


class TaskFields(Body):
    """Everything of a task but for its id. Who does it: `agent`, `function`, `http` or `crew`."""

    name: ShortText = ""
    description: LongText = ""
    expected_output: LongText = ""
    agent: MemberName | None = Field(default=None, description="A name among `agents`, or the id of a stored agent.")
    tools: list[NamedTool] = Field(default_factory=list, max_length=128, description="Of its agent, for this task.")
    function: NamedTool | None = Field(default=None, description="A tool, such as a Python function.")
    arguments: JsonObject = Field(default_factory=dict, description="Of the function.")
    http: HttpBody | None = None
    crew: Annotated["CrewBody | None", BeforeValidator(_inner_crew), WithJsonSchema(_INNER)] = None
    dependencies: list[TaskId] = Field(default_factory=list, max_length=MAX_TASKS)
    context: list[TaskId] = Field(default_factory=list, max_length=MAX_TASKS, description="Further dependencies.")
    parent_id: TaskId | None = Field(default=None, description="Shown under it; says nothing about the order.")
    priority: int = Field(default=DEFAULT_PRIORITY, ge=0, le=1000, description="0 is the most urgent.")


class TaskBody(TaskFields):
    """One piece of work."""

    id: TaskId

    def to_domain(self) -> CrewTask:
        """Return the domain's form."""
        return CrewTask(
            id=self.id,
            name=self.name,
            description=self.description,
            expected_output=self.expected_output,
            agent=self.agent,
            tools=tuple(self.tools),
            function=self.function,
            arguments=self.arguments,
            http=self.http.model_dump(exclude_none=True) if self.http else None,
            crew=self.crew.to_domain() if self.crew else None,
            dependencies=tuple(dict.fromkeys((*self.dependencies, *self.context))),
            parent_id=self.parent_id,
            priority=self.priority,
        )


_NO_OTHERS: dict[str, Any] = {"additionalProperties": False}
Members = Annotated[
    Annotated[list[MemberBody], Field(max_length=200)],
    BeforeValidator(
        _by_name("name"),
        json_schema_input_type=Annotated[list[MemberBody], Field(max_length=200)]
        | Annotated[dict[MemberName, MemberFields], Field(max_length=200, json_schema_extra=_NO_OTHERS)],
    ),
]
Tasks = Annotated[
    Annotated[list[TaskBody], Field(min_length=1, max_length=MAX_TASKS)],
    BeforeValidator(
        _by_name("id"),
        json_schema_input_type=Annotated[list[TaskBody], Field(min_length=1, max_length=MAX_TASKS)]
        | Annotated[dict[TaskId, TaskFields], Field(min_length=1, max_length=MAX_TASKS, json_schema_extra=_NO_OTHERS)],
    ),
]


class CrewBody(Body):
    """Agents, tasks, and how the ones do the others."""

    name: str = Field(default="workflow", min_length=1, max_length=200, pattern=r"\S")
    process: Literal["graph", "sequential", "hierarchical"] = Field(
        default="graph",
        description="`graph`: as the dependencies say · `sequential`: one task after the other · `hierarchical`: "
        "likewise, and a manager has the agents do them.",
    )
    agents: Members = Field(default_factory=list)
    tasks: Tasks
    manager: MemberName | None = Field(default=None, description="Of `hierarchical`; left out: one is made.")
    model: str | None = Field(default=None, min_length=1, max_length=200, description="Of agents that name none.")

    def to_domain(self) -> Crew:
        """Return the domain's form."""
        return Crew(
            name=self.name,
            process=self.process,
            members=tuple(member.to_domain() for member in self.agents),
            tasks=tuple(task.to_domain() for task in self.tasks),
            manager=self.manager,
            model=self.model,
        )


TaskFields.model_rebuild()
TaskBody.model_rebuild()

CREW_EXAMPLE: dict[str, Any] = {
    "name": "article",
    "process": "sequential",
    "agents": {"researcher": {"role": "Researcher"}, "writer": {"role": "Writer"}},
    "tasks": {
        "research": {"description": "Collect facts on {topic}.", "agent": "researcher"},
        "write": {"description": "Write an article.", "agent": "writer"},
    },
}

CrewGiven = Annotated[
    CrewBody,
    BeforeValidator(_crew_of, json_schema_input_type=CrewBody | str),
    Field(description="An object, or a text in YAML or JSON.", examples=[CREW_EXAMPLE]),
]


class CheckBody(Body):
    """A crew to be looked at."""

    crew: CrewGiven


class WorkflowBody(Body):
    """A crew to be set to work."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"crew": CREW_EXAMPLE, "inputs": {"topic": "tides"}}]})

    crew: CrewGiven
    inputs: JsonObject = Field(default_factory=dict, description="`{name}` in descriptions stands for these.")
    stream: bool = Field(default=False, description="Answer with the events of the whole tree.")
    run_id: RunId | None = None
    session_id: str | None = Field(default=None, pattern=SESSION_ID)
    user_id: str | None = Field(default=None, max_length=200)
    metadata: JsonObject = Field(default_factory=dict)
    tags: list[Tag] = Field(default_factory=list, max_length=50)
    budget: BudgetBody | None = Field(default=None, description="Of the whole tree.")
    detached: bool = True
    start: bool = Field(default=True, description="False: it rests until it is resumed.")

    def to_request(self, run_id: str, fallback: Fallback) -> WorkflowRequest:
        """Return the use case's form."""
        return WorkflowRequest(
            crew=self.crew.to_domain(),
            fallback=fallback,
            inputs=self.inputs,
            run_id=run_id,
            session_id=self.session_id,
            user_id=self.user_id,
            metadata=self.metadata,
            tags=tuple(self.tags),
            budget=self.budget.to_domain() if self.budget else None,
            detached=self.detached,
            start=self.start,
        )


class FlawView(View):
    """Something that is wrong."""

    field: str
    message: str


class CheckView(View):
    """What is wrong with a crew, and in which order its tasks would be done."""

    valid: bool
    errors: list[FlawView]
    order: list[str] = Field(description="Ids of the tasks, each behind its dependencies; empty where it is not valid.")


class TaskView(View):
    """A task, and what has become of it."""

    id: str
    name: str
    executor: str
    dependencies: list[str]
    parent_id: str | None
    priority: int
    status: str = Field(description="`pending`, `completed`, `failed`, or the status of its child run.")
    run_id: str | None = Field(description="Its child run.")
    result: str | None
    error: dict[str, Any] | None
    started_at: Instant | None
    ended_at: Instant | None
    fork_checkpoint_id: str | None = Field(
        description="Fork or restore from there to do this task again with what was finished before it."
    )
    tasks: list["TaskView"] = Field(default_factory=list, description="Of the child run.")


class WorkflowView(View):
    """A workflow's run with its tasks."""

    run_id: str
    name: str
    status: str
    status_reason: str | None
    progress: float = Field(ge=0, le=1)
    tasks: list[TaskView]


def view_tree(tree: Tree) -> WorkflowView:
    """Return a tree as it stands on the wire."""
    return WorkflowView(
        run_id=tree.run.id,
        name=tree.name,
        status=tree.run.status,
        status_reason=tree.run.reason,
        progress=tree.progress,
        tasks=[_view_task(state) for state in tree.tasks],
    )


def _view_task(state: TaskState) -> TaskView:
    return TaskView(
        id=state.id,
        name=state.name,
        executor=state.executor,
        dependencies=list(state.dependencies),
        parent_id=state.parent_id,
        priority=state.priority,
        status=state.status,
        run_id=state.run_id,
        result=state.result,
        error=state.error,
        started_at=state.started_at,
        ended_at=state.ended_at,
        fork_checkpoint_id=state.fork_checkpoint_id,
        tasks=[_view_task(inner) for inner in state.tree.tasks] if state.tree else [],
    )
