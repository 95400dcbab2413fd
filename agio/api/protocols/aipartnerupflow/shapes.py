"""What aipartnerupflow's clients send and get."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, field_validator

from agio.api.native.schemas.common import Instant, JsonObject
from agio.api.protocols.plain import LenientBody
from agio.domain.task_trees import GivenTask, Need
from agio.domain.workflow import DEFAULT_PRIORITY, MAX_TASKS

TASK_ID = r"^[A-Za-z0-9_.:@+-]{1,64}$"
TaskId = Annotated[str, Field(pattern=TASK_ID, examples=["task1"])]
MOST_LISTED = 1000


def _need(given: Any) -> Any:
    """Read a dependency: an id, or `{id, required}`; `name` stands for `id`."""
    if isinstance(given, str):
        return {"id": given}
    if isinstance(given, dict) and "id" not in given and "name" in given:
        return {**given, "id": given["name"]}
    return given


class NeedBody(LenientBody):
    """A task that must be over before."""

    id: str = Field(min_length=1, max_length=200)
    required: bool = True


class TaskBody(LenientBody):
    """A task of a tree."""

    id: TaskId | None = None
    name: str = Field(min_length=1, max_length=200, pattern=r"\S")
    user_id: str | None = Field(default=None, max_length=200)
    parent_id: str | None = Field(default=None, max_length=200)
    dependencies: list[Annotated[NeedBody, BeforeValidator(_need)]] = Field(default_factory=list, max_length=MAX_TASKS)
    priority: int = Field(default=DEFAULT_PRIORITY, ge=0, le=1000)
    inputs: JsonObject = Field(default_factory=dict)
    params: JsonObject = Field(default_factory=dict)
    schemas: JsonObject = Field(default_factory=dict)

    @field_validator("inputs", "params", "schemas", "dependencies", mode="before")
    @classmethod
    def _empty(cls, given: Any, info: Any) -> Any:
        """Read null as nothing."""
        if given is None:
            return [] if info.field_name == "dependencies" else {}
        return given

    def to_given(self) -> GivenTask:
        """Return the domain's form."""
        needs = tuple(Need(id=one.id, required=one.required) for one in self.dependencies)
        fields = self.model_dump(exclude={"dependencies", "parent_id", "user_id"})
        return GivenTask(dependencies=needs, parent_id=self.parent_id or None, user_id=self.user_id or None, **fields)


def _as_list(given: Any) -> Any:
    return [given] if isinstance(given, dict) else given


Tasks = Annotated[list[TaskBody], BeforeValidator(_as_list), Field(min_length=1, max_length=MAX_TASKS)]


class CreateParams(LenientBody):
    """Of `tasks.create` and `execute_task_tree`."""

    tasks: Tasks
    use_streaming: bool = False


class TaskParams(LenientBody):
    """Of everything that is about one task; `id` stands for `task_id`."""

    task_id: TaskId


class ExecuteParams(TaskParams):
    """Of `tasks.execute`."""

    use_streaming: bool = False
    copy_execution: bool = False
    copy_children: bool = False


class DeleteParams(TaskParams):
    """Of `tasks.delete`."""

    force: bool = Field(default=False, description="Also what is over; else only what is pending.")


class UpdateParams(LenientBody):
    """The fields of `tasks.update` that may be changed."""

    name: str = Field(default="", min_length=1, max_length=200, pattern=r"\S")
    priority: int = Field(default=DEFAULT_PRIORITY, ge=0, le=1000)
    inputs: JsonObject = Field(default_factory=dict)
    params: JsonObject = Field(default_factory=dict)
    schemas: JsonObject = Field(default_factory=dict)
    dependencies: list[Annotated[NeedBody, BeforeValidator(_need)]] = Field(default_factory=list, max_length=MAX_TASKS)

    def to_changes(self) -> dict[str, Any]:
        """Return what is to be changed, as the domain has it."""
        changes = self.model_dump(exclude_unset=True)
        if "dependencies" in changes:
            changes["dependencies"] = tuple(Need(id=one.id, required=one.required) for one in self.dependencies)
        return changes


def _split(given: Any) -> Any:
    return [part.strip() for part in given.split(",")] if isinstance(given, str) else given


class ManyParams(LenientBody):
    """Of `tasks.cancel` and `tasks.running.status`; `context_ids` stands for `task_ids`."""

    task_ids: Annotated[list[str], BeforeValidator(_split), Field(max_length=100)]
    force: bool = False
    error_message: str | None = Field(default=None, max_length=1000)


class ListParams(LenientBody):
    """Of `tasks.list` and `tasks.running.*`."""

    user_id: str | None = Field(default=None, max_length=200)
    status: str | None = Field(default=None, max_length=50)
    root_only: bool = False
    limit: int = Field(default=100, ge=1, le=MOST_LISTED)
    offset: int = Field(default=0, ge=0, le=2**31)


class NeedView(BaseModel):
    """A dependency."""

    id: str
    required: bool


class TaskView(BaseModel):
    """A task, and what has become of it."""

    id: str
    task_id: str
    root_task_id: str
    parent_id: str | None
    user_id: str | None
    name: str
    status: str = Field(description="pending, in_progress, completed, failed or cancelled.")
    progress: float = Field(ge=0, le=1)
    result: Any = None
    error: str | None
    priority: int
    dependencies: list[NeedView]
    inputs: dict[str, Any]
    params: dict[str, Any]
    schemas: dict[str, Any]
    has_children: bool
    has_copy: bool
    original_task_id: str | None
    run_id: str | None = Field(description="Agio's run, once the task was executed.")
    created_at: Instant
    updated_at: Instant
    started_at: Instant | None
    completed_at: Instant | None


class StatusView(BaseModel):
    """Where a task stands."""

    task_id: str
    root_task_id: str
    status: str = Field(description="pending, in_progress, completed, failed or cancelled.")
    progress: float = Field(ge=0, le=1)
    result: Any = None
    error: str | None
    run_id: str | None
    created_at: Instant
    updated_at: Instant
    started_at: Instant | None
    completed_at: Instant | None
