"""The port between the engine and a database.

Every method that names a group sees that group's records only; what belongs to another group does
not exist for it. Instants that decide anything (leases) come from the database's clock. Any method
may raise `StoreUnavailable`; a write that raised it may or may not have happened, and is safe to
repeat as it is.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar

from agio.domain.access import AccessKey, RevokedToken, StreamToken, User
from agio.domain.agents import Agent, AgentSnapshot
from agio.domain.approvals import Approval
from agio.domain.branches import Branch
from agio.domain.checkpoints import Checkpoint
from agio.domain.crews import StoredCrew, StoredTask
from agio.domain.duties import Duty
from agio.domain.errors import LeaseLost
from agio.domain.journal import Entry
from agio.domain.llm_keys import LlmKey
from agio.domain.messages import Message
from agio.domain.requests import KeyedRequest
from agio.domain.runs import Run, RunFilter, RunSpec, RunUpdate
from agio.domain.schedules import Fire, Schedule
from agio.domain.sessions import Session
from agio.domain.status import RunStatus
from agio.domain.stored_models import StoredModel
from agio.domain.task_trees import TaskPlace, TaskTree
from agio.domain.templates import Template
from agio.domain.tools import StoredTool
from agio.domain.webhooks import Delivery, Webhook
from agio.domain.windows import Window
from agio.storage.upkeep import Upkeep

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """A stretch of a list."""

    items: list[T]
    total: int
    """How many there are in all."""
    next_cursor: str | None = None
    """Hands on to the next page; None at the end, or where the list takes no cursor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCreation:
    """Everything that comes into being with a run."""

    run: Run
    spec: RunSpec
    snapshot: AgentSnapshot
    first: Entry
    """Sequence number 1, epoch 0: `run_started`."""
    session: Session | None = None
    """To be made, unless it is there."""
    branch: Branch | None = None
    """To be made."""
    may_wait: bool = True
    """False: refuse while another run holds the branch."""
    owner: str | None = None
    """Worker that shall own the run from its acceptance on, see `domain.control.accept`; None: it is queued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """One entry, with what it changes on the run's record."""

    entry: Entry
    update: RunUpdate | None = None
    approvals: tuple[Approval, ...] = ()
    """To be made, unless they are there."""


AppendResult: TypeAlias = Run | LeaseLost | None
"""The run after the update · why the entry or its update was refused · done, there was no update."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLimits:
    """How much a worker may claim."""

    runs_per_group: int | None = None
    """Runs of one group that workers own at once, in the whole installation; None: no limit.
    No further one is begun (`Run.is_fresh`) while as many are under way, by their children too (`Run.takes_room`)."""
    own: Mapping[str, int] = field(default_factory=dict)
    """Limits of certain groups, in its place."""

    def of(self, group_id: str) -> int | None:
        """Return the limit of a group."""
        return self.own.get(group_id, self.runs_per_group)


@dataclass(slots=True)
class Interest:
    """What a process listens for; it changes this as it goes, adapters read it."""

    owns_runs: bool = False
    """It owns runs, so commands matter."""
    reads_remote: bool = False
    """It has readers of runs that others own, so journal entries matter."""


class RunStore(Protocol):
    """Runs, their journals, their checkpoints and approvals."""

    async def create_run(self, creation: RunCreation) -> Run:
        """Accept a run: when this returns it is durable, with its input and its first event.

        Atomic for every reader: the run appears whole or not at all. The run holds its branch from
        now on if nobody else does; otherwise it is queued behind the others (`may_wait`). Its record
        begins as `domain.control.accept` says; limits of claims are the owner's to heed.

        Raises:
            AlreadyExists: the run id is taken, in whichever group.
            BranchBusy: another run holds the branch, and `may_wait` is False; names the holder.
            NotFound: the run that it continues (`Run.parent`) was deleted, or its branch.
        """
        ...

    async def get_run(self, group_id: str, run_id: str) -> Run:
        """Return the run's record. Raises `NotFound`."""
        ...

    async def get_spec(self, group_id: str, run_id: str) -> RunSpec:
        """Return what was asked. Raises `NotFound`."""
        ...

    async def list_runs(
        self,
        group_id: str,
        where: RunFilter,
        *,
        limit: int,
        offset: int = 0,
        cursor: str | None = None,
        newest_first: bool = True,
    ) -> Page[Run]:
        """Return runs by time of creation. A cursor, if given, replaces the offset.

        Raises:
            Invalid: the cursor was not made by this store (field `cursor`).
        """
        ...

    async def count_live(self) -> dict[RunStatus, int]:
        """Return how many runs have each status that is not an end, of every group; statuses of none left out."""
        ...

    async def update_run(self, group_id: str, run_id: str, change: Callable[[Run], Run]) -> Run:
        """Change the run's record by a pure function, atomically, and return the record after it.

        The function may be called more than once; what it raises is raised here, and nothing is
        written. Returning its argument writes nothing. When the run lets go of its branch, the run
        that waits longest for it holds it from now on, before this returns or soon after.

        Raises:
            NotFound: no such run.
            BranchBusy: the change makes the run hold a branch that another one holds.
        """
        ...

    async def delete_run(self, group_id: str, run_id: str) -> None:
        """Delete an ended run with its journal, its spec and its approvals. Raises `NotFound`."""
        ...

    async def dependents(self, group_id: str, run_id: str) -> list[str]:
        """Return the ids of the runs whose history contains messages or checkpoints of this one.

        These are runs restored or forked from it, runs on branches that leave one of its branches
        after its first message, and later runs on its branch. Direct ones only.
        """
        ...

    async def append(self, batch: Sequence[Append]) -> list[AppendResult]:
        """Append entries of different runs, at most one per run; results in the same order.

        Each entry is visible whole or not at all, and durable when this returns. An entry whose
        `(run_id, first_seq)` is taken is refused with `LeaseLost`, unless the one there has the
        same epoch and last sequence number: that one is ours, from a call whose answer was lost.
        The updates of accepted entries are applied through `domain.control.project`; where it
        raises `LeaseLost` the entry stays and the result is that error. A run that ends lets go of
        its branch (see `update_run`) and its pending approvals become `cancelled`.
        """
        ...

    async def head(self, group_id: str, run_id: str) -> int:
        """Return the last sequence number in the journal, 0 when it is empty.

        Reads what a majority has, so that it cannot be rolled back.
        """
        ...

    async def read_entries(self, group_id: str, run_id: str, *, after: int = 0, limit: int = 500) -> list[Entry]:
        """Return entries in order, from the one that holds sequence number `after + 1` on."""
        ...

    async def read_messages(
        self, group_id: str, branch_id: str, *, start: int = 0, end: int | None = None
    ) -> list[Message]:
        """Return the conversation on a branch from position `start` to before `end`.

        The ancestors' part is included. Costs what is returned, not what the branch holds.

        Raises:
            NotFound: no such branch.
        """
        ...

    async def branch_end(self, group_id: str, branch_id: str) -> int:
        """Return the position after the branch's last message. Raises `NotFound`."""
        ...

    async def lineage(self, group_id: str, branch_id: str) -> list[Branch]:
        """Return the branch, its parent, its grandparent, … Raises `NotFound`."""
        ...

    async def list_checkpoints(
        self, group_id: str, run_id: str, *, limit: int | None = None, offset: int = 0
    ) -> Page[Checkpoint]:
        """Return the run's checkpoints in order of their sequence numbers."""
        ...

    async def session_checkpoints(self, group_id: str, session_id: str) -> list[Checkpoint]:
        """Return the checkpoints of all runs of a session, without order between runs."""
        ...

    async def last_checkpoint(self, group_id: str, run_id: str) -> Checkpoint | None:
        """Return the run's latest checkpoint from the journal, None when it has none."""
        ...

    async def get_checkpoint(self, group_id: str, checkpoint_id: str) -> Checkpoint:
        """Return one checkpoint. Raises `NotFound`."""
        ...

    async def annotate_checkpoint(
        self, group_id: str, checkpoint_id: str, *, label: str | None, tags: Sequence[str]
    ) -> Checkpoint:
        """Replace a checkpoint's label and tags, the only thing of it that can change.

        Raises:
            NotFound: no such checkpoint.
        """
        ...

    async def get_approval(self, group_id: str, approval_id: str) -> Approval:
        """Return one approval. Raises `NotFound`."""
        ...

    async def update_approval(
        self, group_id: str, approval_id: str, change: Callable[[Approval], Approval]
    ) -> Approval:
        """Change an approval by a pure function, atomically; as `update_run`."""
        ...

    async def list_approvals(
        self,
        group_id: str,
        *,
        status: str | None = None,
        run_id: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> Page[Approval]:
        """Return approvals, oldest first."""
        ...

    async def get_snapshot(self, group_id: str, digest: str) -> AgentSnapshot:
        """Return the agent as runs pinned it. Raises `NotFound`."""
        ...

    async def put_snapshot(self, group_id: str, snapshot: AgentSnapshot) -> None:
        """Keep a snapshot, unless it is there."""
        ...


class Leases(Protocol):
    """Which worker processes live, and which runs they may take."""

    async def beat(self, worker_id: str, about: Mapping[str, str]) -> None:
        """Say that the worker lives, at the database's present time. `about`: host, pid, …"""
        ...

    async def retire(self, worker_id: str) -> None:
        """Forget the worker; runs that still name it as their owner are abandoned."""
        ...

    async def read_clock(self) -> datetime:
        """Return the present time by the database's clock, in UTC."""
        ...

    async def living(self, lease_s: float) -> frozenset[str]:
        """Return the workers whose last beat is less than `lease_s` ago by the database's clock."""
        ...

    async def workers(self) -> dict[str, dict[str, str]]:
        """Return what each worker that did not retire says about itself, by id; living or not."""
        ...

    async def claim_ready(self, worker_id: str, limits: WorkerLimits, *, limit: int) -> list[Run]:
        """Claim up to `limit` runs that are ready (`Run.is_ready`) through `domain.control.claim`.

        Fair from call to call: groups take turns; within a group the run that is ready longest comes first. A run
        with a waiting command is claimed whatever the limits say. There may be more even if fewer than `limit`
        come back; empty: there is none that the limits allow. Each is claimed by itself, as in `claim_abandoned`.
        """
        ...

    async def claim_abandoned(self, worker_id: str, lease_s: float, *, limit: int) -> list[Run]:
        """Claim up to `limit` runs whose owner is not among the living, through `domain.control.take_over`.

        Each of them by itself: when the call fails, some may be claimed. Empty: there is none.
        """
        ...

    async def commands(self, worker_id: str) -> list[Run]:
        """Return the worker's own runs with commands that it has not acted on (`control_seq`)."""
        ...

    async def owned(self, worker_id: str) -> list[Run]:
        """Return the runs whose record names the worker as their owner."""
        ...

    async def sweep(self) -> None:
        """Mend what a crash between two writes may have left: a branch that nobody holds while runs
        wait for it. Cheap; called every few seconds."""
        ...

    async def heads(self, run_ids: Collection[str]) -> dict[str, int]:
        """Return the journals' last sequence numbers by run id, of any group."""
        ...

    def hints(self, interest: Interest) -> AsyncGenerator[frozenset[str] | None, None]:
        """Yield the ids of runs that other processes may have changed; None: any.

        Hints only wake: they may be late, lost, doubled or wrong. Ends when there can be none
        (`hint_source` is `none`). Survives a database that is away.
        """
        ...

    hint_source: Literal["change_stream", "data_version", "none"]


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of catalog record: a frozen dataclass with `id`, `group_id` and `created_at`."""

    name: str
    """Name of its table or collection."""
    type: type[T]
    filters: tuple[str, ...] = ()
    """Fields that lists may be narrowed by (equality)."""
    members: tuple[str, ...] = ()
    """Tuple fields of which lists may demand an element."""
    search: tuple[str, ...] = ()
    """Text fields that a search looks into."""
    unique: tuple[str, ...] = ()
    """Fields that no two records of a group share."""
    instants: tuple[str, ...] = ()
    """Instant fields that records may be counted and found by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentVersion:
    """An agent as it was at one version."""

    id: str
    """`<agent>@<version>`."""
    group_id: str
    agent_id: str
    version: int
    agent: Agent
    created_at: datetime


AGENTS = Kind("agents", Agent, filters=("enabled", "source"), members=("tags",), search=("id", "name", "description"))
AGENT_VERSIONS = Kind("agent_versions", AgentVersion, filters=("agent_id",))
SESSIONS = Kind("sessions", Session, filters=("user_id", "agent_id"), search=("id", "title"), instants=("updated_at",))
BRANCHES = Kind("branches", Branch, filters=("session_id", "parent_id"))
TOOLS = Kind("tools", StoredTool, filters=("enabled",), search=("name", "description"), unique=("name",))
REQUESTS = Kind("requests", KeyedRequest)
DUTIES = Kind("duties", Duty)
USERS = Kind("users", User, members=("groups",))
ACCESS_KEYS = Kind("access_keys", AccessKey)
STREAM_TOKENS = Kind("stream_tokens", StreamToken)
REVOKED_TOKENS = Kind("revoked_tokens", RevokedToken)
LLM_KEYS = Kind("llm_keys", LlmKey, filters=("user_id",), unique=("place",))
WINDOWS = Kind("windows", Window)
WEBHOOKS = Kind("webhooks", Webhook, filters=("enabled", "run_id"))
DELIVERIES = Kind("deliveries", Delivery, filters=("webhook_id", "run_id", "state"), instants=("next_at",))
SCHEDULES = Kind("schedules", Schedule, filters=("enabled",), search=("id", "name"), instants=("next_at",))
FIRES = Kind("fires", Fire, filters=("schedule_id",))
MODELS = Kind("models", StoredModel, filters=("provider",), search=("id", "model"))
TEMPLATES = Kind("templates", Template, search=("name", "description"), unique=("name",))
CREWS = Kind("crews", StoredCrew, search=("id", "name", "description"))
TASKS = Kind("tasks", StoredTask, search=("id", "name", "description"))
TASK_TREES = Kind("task_trees", TaskTree, filters=("user_id",))
TASK_PLACES = Kind("task_places", TaskPlace)

KINDS: tuple[Kind[Any], ...] = (
    *(AGENTS, AGENT_VERSIONS, SESSIONS, BRANCHES, TOOLS, REQUESTS, DUTIES),
    *(USERS, ACCESS_KEYS, STREAM_TOKENS, REVOKED_TOKENS, LLM_KEYS, WINDOWS),
    *(WEBHOOKS, DELIVERIES, SCHEDULES, FIRES),
    *(MODELS, TEMPLATES),
    *(CREWS, TASKS, TASK_TREES, TASK_PLACES),
)


class Catalog(Protocol):
    """Records that people and code manage, by `(kind, group, id)`."""

    async def insert(self, kind: Kind[T], record: T) -> T:
        """Keep a new record. Raises `AlreadyExists` (id or unique field taken in its group)."""
        ...

    async def get(self, kind: Kind[T], group_id: str, record_id: str) -> T:
        """Return a record. Raises `NotFound`."""
        ...

    async def find(
        self,
        kind: Kind[T],
        group_id: str,
        where: Mapping[str, Any] | None = None,
        *,
        text: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        newest_first: bool = False,
    ) -> Page[T]:
        """Return records by time of creation. `where`: filters and members of the kind."""
        ...

    async def update(self, kind: Kind[T], group_id: str, record_id: str, change: Callable[[T], T]) -> T:
        """Change a record by a pure function, atomically; as `RunStore.update_run`."""
        ...

    async def delete(self, kind: Kind[T], group_id: str, record_id: str) -> None:
        """Delete a record. Raises `NotFound`."""
        ...

    async def count_since(self, kind: Kind[T], field: str, since: datetime) -> int:
        """Return how many records of every group have an instant `field` (one of `Kind.instants`) at or after.

        Raises:
            Invalid: the kind is not counted by that field.
        """
        ...

    async def find_until(self, kind: Kind[T], field: str, until: datetime, *, limit: int) -> list[T]:
        """Return records of every group with an instant `field` (one of `Kind.instants`) at or before, earliest first.

        Raises:
            Invalid: the kind is not found by that field.
        """
        ...

    async def prune(self, kind: Kind[T], before: datetime) -> int:
        """Delete the records of every group that were created before; return how many."""
        ...


class Store(RunStore, Leases, Catalog, Upkeep, Protocol):
    """A database that Agio can live in."""

    name: Literal["sqlite", "mongodb"]

    async def open(self) -> None:
        """Connect, make tables and indexes, check the schema version.

        Raises:
            Unsupported: the schema is newer than this program, or the server cannot serve.
            StoreUnavailable: the database cannot be reached.
        """
        ...

    async def close(self) -> None:
        """Finish what is under way and disconnect."""
        ...

    async def ping(self) -> None:
        """Return when the database answers. Raises `StoreUnavailable`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """How a store is reached and tuned."""

    url: str
    """`sqlite:///relative.db`, `sqlite:////absolute.db`, `mongodb://…`, `mongodb+srv://…`."""
    inline_limit: int = 256 * 1024
    """Bytes; a larger part of an entry is stored in chunks by content hash."""
    options: Mapping[str, Any] = field(default_factory=dict)
