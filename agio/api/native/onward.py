"""Going on from a checkpoint, once per key: new runs, several at a time, and the run itself rewound."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from agio.api.native.attach import attach
from agio.api.native.schemas.checkpoints import ForkList, view_fork
from agio.api.once import once, reserve
from agio.domain.branches import Branch
from agio.domain.checkpoints import Checkpoint
from agio.domain.errors import AlreadyExists, Invalid, InvalidTransition, NotFound
from agio.domain.ids import checkpoint_id as place
from agio.domain.ids import new_id, split_checkpoint_id
from agio.domain.runs import Run
from agio.engine.caller import Caller
from agio.engine.continuing import ForkRequest
from agio.engine.creation import get_run
from agio.engine.engine import Engine


async def find_checkpoint(engine: Engine, caller: Caller, checkpoint_id: str) -> Checkpoint:
    """Return a checkpoint.

    Raises:
        NotFound: there is none; the message says so in a caller's words.
    """
    try:
        return await engine.store.get_checkpoint(caller.group_id, checkpoint_id)
    except NotFound:
        raise NotFound(f"there is no checkpoint {checkpoint_id!r}") from None


@dataclass(frozen=True, slots=True)
class Call:
    """A request to go on from a checkpoint."""

    request: Request
    engine: Engine
    caller: Caller
    stream: bool
    after: int | None
    """Where a repeated request reads on."""

    async def follow(self, run: Run, *, after: int, repeated: bool) -> Response:
        """Answer with the run's events; a repeated request may read on."""
        behind = after if self.after is None or not repeated else self.after
        return await attach(self.engine, self.caller, run, after=behind, style="seq")


async def branch_off(call: Call, fork: ForkRequest) -> Response:
    """Begin a new run on a branch of its own, and answer with it or its events."""
    note, repeated = await reserve(call.request, call.engine, call.caller, wanted_id=fork.run_id)
    since = note.created_at if note else None
    if call.stream:
        run_id = note.resource_id if note else fork.run_id or new_id()
        run = await _fork_once(call, replace(fork, run_id=run_id), since)
        return await call.follow(run, after=0, repeated=repeated)

    async def make(run_id: str) -> Response:
        run = await _fork_once(call, replace(fork, run_id=run_id), since)
        return answer_with(view_fork(run, fork), 201, location=f"/api/runs/{run.id}")

    return await once(call.request, call.engine, call.caller, make, wanted_id=fork.run_id)


async def _fork_once(call: Call, fork: ForkRequest, since: datetime | None) -> Run:
    """Begin the new run, unless a request under the same key, noted at `since`, was faster."""
    try:
        return await call.engine.continuing.branch_off(call.caller, fork)
    except AlreadyExists:
        with suppress(NotFound):  # another group's run has the id
            run = await get_run(call.engine.store, call.caller, fork.run_id or "")
            if since is not None and run.created_at >= since:
                await call.engine.continuing.settle(call.caller, run)
                return run
        raise


async def fan_out(call: Call, fork: ForkRequest, variants: list[dict[str, Any]]) -> Response:
    """Begin a run per variant; all of them are checked before the first one begins."""
    for number, changes in enumerate(variants):
        try:
            await call.engine.continuing.origin(call.caller, fork.checkpoint_id, changes)
        except Invalid as error:
            name = (error.field or "").removeprefix("modifications.")
            raise Invalid(str(error), field=f"variants.{number}.{name}") from error
    note, _ = await reserve(call.request, call.engine, call.caller)
    since = note.created_at if note else None

    async def make(base_id: str) -> Response:
        items = []
        for number, changes in enumerate(variants):
            one = replace(fork, run_id=f"{base_id}-{number}", modifications=changes)
            items.append(view_fork(await _fork_once(call, one, since), fork))
        return answer_with(ForkList(items=items, total=len(items)), 201)

    return await once(call.request, call.engine, call.caller, make)


async def rewind(call: Call, fork: ForkRequest) -> Response:
    """Begin a new attempt of the checkpoint's own run."""
    if fork.run_id is not None:
        raise Invalid("without a new run there is no id to choose", field="run_id")
    checkpoint = await find_checkpoint(call.engine, call.caller, fork.checkpoint_id)
    head = await call.engine.store.head(call.caller.group_id, checkpoint.run_id)
    # Where the journal ended before is noted with the key: a repeated stream begins there too.
    wanted_id = place(checkpoint.run_id, head)
    note, repeated = await reserve(call.request, call.engine, call.caller, wanted_id=wanted_id)
    since = note.created_at if note else None
    if call.stream:
        parts = split_checkpoint_id(note.resource_id) if note else None
        run = await _rewind_once(call, fork, since)
        return await call.follow(run, after=parts[1] if parts else head, repeated=repeated)

    async def make(_: str) -> Response:
        run = await _rewind_once(call, fork, since)
        return answer_with(view_fork(run, fork), 201, location=f"/api/runs/{run.id}")

    return await once(call.request, call.engine, call.caller, make, wanted_id=wanted_id)


async def _rewind_once(call: Call, fork: ForkRequest, since: datetime | None) -> Run:
    """Rewind the run, unless a request under the same key, noted at `since`, was faster."""
    if (run := await _rewound(call, fork, since)) is not None:
        return run
    try:
        return await call.engine.continuing.rewind(call.caller, fork)
    except InvalidTransition:
        run = await _rewound(call, fork, since)
        if run is None:
            raise
        return run


async def _rewound(call: Call, fork: ForkRequest, since: datetime | None) -> Run | None:
    run_id = (await find_checkpoint(call.engine, call.caller, fork.checkpoint_id)).run_id

    def is_it(branch: Branch) -> bool:
        return branch.kind == "restore" and branch.from_checkpoint_id == fork.checkpoint_id

    return await _attempted(call.engine, call.caller, run_id, since, is_it)


async def retry_once(engine: Engine, caller: Caller, run_id: str, since: datetime | None) -> Run:
    """Retry the run, unless a request under the same key, noted at `since`, did; it may have failed again since."""

    def is_it(branch: Branch) -> bool:
        return branch.kind == "retry"

    if (run := await _attempted(engine, caller, run_id, since, is_it)) is not None:
        return run
    try:
        return await engine.continuing.retry(caller, run_id)
    except InvalidTransition:
        run = await _attempted(engine, caller, run_id, since, is_it)
        if run is None:
            raise
        return run


async def _attempted(
    engine: Engine, caller: Caller, run_id: str, since: datetime | None, is_it: Callable[[Branch], bool]
) -> Run | None:
    """Return the run if its present attempt was made after `since`, on a branch as wanted."""
    if since is None:
        return None
    run = await get_run(engine.store, caller, run_id)
    branch = (await engine.store.lineage(caller.group_id, run.branch_id))[0]
    if branch.created_at < since or not is_it(branch):
        return None
    await engine.continuing.settle(caller, run)
    return run


def answer_with(view: BaseModel, status: int, *, location: str | None = None) -> JSONResponse:
    """Answer with a view."""
    return JSONResponse(view.model_dump(mode="json"), status, {"Location": location} if location else None)
