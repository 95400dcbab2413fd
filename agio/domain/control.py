"""The rules by which a run's record changes: commands, claims, projections. All pure.

A store applies these inside one atomic read-modify-write and may call them again when it lost a
race, so they depend on nothing but their arguments.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Literal

from agio.domain.errors import Invalid, InvalidTransition, KeyMissing, LeaseLost
from agio.domain.messages import Content
from agio.domain.runs import CancelRequest, Mark, Order, PauseRequest, Run, RunUpdate, Words
from agio.domain.status import RESTING, RunStatus, StopReason, move


def request_pause(
    run: Run, *, by: str, at: datetime, mode: Literal["safe", "now"] = "safe", reason: str | None = None
) -> Run:
    """Return the run with a pause asked for; unchanged when it is paused or asked already.

    A later `now` sharpens an earlier `safe`.

    Raises:
        InvalidTransition: it has ended, or rests as interrupted.
    """
    if run.is_terminal or run.status is RunStatus.INTERRUPTED:
        raise InvalidTransition(f"the run is {run.status}; it cannot be paused", status=run.status)
    if run.status is RunStatus.PAUSED:
        return run
    if run.pause is not None and (run.pause.mode == mode or mode == "safe"):
        return run
    pause = PauseRequest(by=by, at=at, mode=mode, reason=reason)
    return replace(run, pause=pause, control_seq=run.control_seq + 1, updated_at=at)


def request_cancel(run: Run, *, by: str, at: datetime, reason: str | None = None) -> Run:
    """Return the run with a cancel asked for; unchanged when it is cancelled or asked already.

    Raises:
        InvalidTransition: it ended otherwise.
    """
    if run.status is RunStatus.CANCELLED:
        return run
    if run.is_terminal:
        raise InvalidTransition(f"the run is {run.status}; it cannot be cancelled", status=run.status)
    if run.cancel is not None:
        return run
    cancel = CancelRequest(by=by, at=at, reason=reason)
    return replace(run, cancel=cancel, control_seq=run.control_seq + 1, updated_at=at)


def request_mark(run: Run, mark: Mark, *, at: datetime) -> Run:
    """Return the run with a label asked for its next checkpoint.

    Raises:
        InvalidTransition: it has ended, so there will be none.
    """
    if run.is_terminal:
        raise InvalidTransition(f"the run is {run.status}; it makes no checkpoint", status=run.status)
    return replace(run, marks=(*run.marks, mark), control_seq=run.control_seq + 1, updated_at=at)


def request_resume(
    run: Run,
    *,
    by: str,
    at: datetime,
    words: tuple[Words, ...] = (),
    tool_results: dict[str, Content] | None = None,
    retry_tools: tuple[str, ...] = (),
    llm_key: str | None = None,
) -> Run:
    """Return the run queued to go on. A pause that has not taken effect yet is taken back.

    `llm_key`: where the key is that came along, if one did.

    Raises:
        InvalidTransition: it neither rests nor is about to.
        KeyMissing: it waits for a key, and none came.
        Invalid: it waits for a message, and none came.
    """
    if llm_key is not None:
        run = replace(run, llm_key=llm_key)
    elif run.status is RunStatus.WAITING and run.reason == StopReason.LLM_KEY_MISSING and run.cancel is None:
        raise KeyMissing
    if run.status is RunStatus.WAITING and run.reason == StopReason.INPUT and not words and run.cancel is None:
        raise Invalid("its agent asks the user something: send a message along", field="message")
    order = Order(
        kind="resume",
        by=by,
        seq=run.control_seq + 1,
        words=words,
        tool_results=tool_results or {},
        retry_tools=retry_tools,
    )
    if run.status in (RunStatus.RUNNING, RunStatus.QUEUED) and run.pause is not None:
        says_something = bool(words or tool_results or retry_tools)
        keeps = run.status is RunStatus.QUEUED and not says_something
        kept = run.order if keeps else _merge(run.order, order)
        return replace(run, pause=None, order=kept, control_seq=order.seq, updated_at=at)
    if run.status not in RESTING or run.cancel is not None:
        raise InvalidTransition(
            f"the run is {run.status}; only a paused, waiting or interrupted run can be resumed",
            status=run.status,
        )
    return _queue(replace(run, pause=None), _merge(run.order, order), at)


def hand_resume_on(run: Run, *, by: str, at: datetime, llm_key: str | None) -> Run:
    """Return a child run after its parent was told to go on: it goes on if it was paused, or waits for a key.

    `llm_key`: where the parent's key is; a child that works with a former one uses this one from now on.
    """
    fresh = replace(run, llm_key=llm_key) if llm_key is not None and not run.is_terminal else run
    lacks_key = run.status is RunStatus.WAITING and run.reason == StopReason.LLM_KEY_MISSING
    if run.status is RunStatus.PAUSED or run.pause is not None or (lacks_key and llm_key != run.llm_key):
        return request_resume(fresh, by=by, at=at, llm_key=fresh.llm_key if lacks_key else None)
    return run if fresh == run else fresh


def _merge(earlier: Order | None, later: Order) -> Order:
    """Return one order that says all that two say, the earlier of which nobody has acted on."""
    if earlier is None:
        return later
    return replace(
        later,
        kind="restore" if earlier.kind == "restore" else later.kind,
        words=earlier.words + later.words,
        tool_results=earlier.tool_results | later.tool_results,
        retry_tools=earlier.retry_tools + later.retry_tools,
        from_checkpoint_id=earlier.from_checkpoint_id or later.from_checkpoint_id,
    )


def note_decision(run: Run, *, by: str, at: datetime) -> Run:
    """Return the run after one of its approvals was decided: waiting runs go on at once.

    A paused run stays paused; a run that still works finds the decision when it gets there.
    """
    order = Order(kind="approval", by=by, seq=run.control_seq + 1)
    if run.status is RunStatus.WAITING:
        return _queue(run, _merge(run.order, order), at)
    if run.status is RunStatus.RUNNING:
        return replace(run, order=run.order or order, control_seq=order.seq, updated_at=at)
    return run


def note_child(run: Run, *, at: datetime) -> Run:
    """Return the run after one of its child runs ended: it goes on at once if it waits.

    A paused run stays paused; one that is queued finds the end when it gets there.
    """
    if run.status is RunStatus.WAITING:
        order = Order(kind="child", by="system", seq=run.control_seq + 1)
        return _queue(run, _with_child(run.order, order), at)
    if run.status is RunStatus.RUNNING:
        return replace(run, control_seq=run.control_seq + 1, updated_at=at)
    return run


def _with_child(earlier: Order | None, later: Order) -> Order:
    """Return the order that nobody has acted on, if there is one: it says more than that a child ended."""
    return replace(earlier, seq=later.seq) if earlier is not None else later


def request_attempt(
    run: Run,
    *,
    by: str,
    at: datetime,
    branch_id: str,
    from_checkpoint_id: str | None,
    base_step: int,
    allowed: Collection[RunStatus],
    start: bool = True,
) -> Run:
    """Return the run queued for a new attempt on a branch of its own.

    Raises:
        InvalidTransition: its status is not one of `allowed`.
    """
    if run.status not in allowed:
        wanted = ", ".join(sorted(allowed))
        raise InvalidTransition(f"the run is {run.status}; it must be {wanted}", status=run.status)
    order = Order(kind="restore", by=by, seq=run.control_seq + 1, from_checkpoint_id=from_checkpoint_id)
    fresh = replace(
        run,
        attempt=run.attempt + 1,
        branch_id=branch_id,
        step=base_step,
        base_step=base_step,
        holds_branch=True,
        pause=None if start else PauseRequest(by=by, at=at, reason=StopReason.NOT_STARTED),
        cancel=None,
        error=None,
        pending_approvals=(),
        ended_at=None,
    )
    return _queue(fresh, order, at)


def note_compaction(run: Run, *, through: int) -> Run:
    """Return the run with its journal compacted up to an event; unchanged when a new attempt began meanwhile."""
    if not run.is_terminal or run.compacted_seq >= through:
        return run
    return replace(run, compacted_seq=through)


def _queue(run: Run, order: Order, at: datetime) -> Run:
    queued = replace(
        run,
        status=move(run.status, RunStatus.QUEUED),
        order=order,
        control_seq=order.seq,
        claims=0,
        handed_over=False,
        updated_at=at,
    )
    return _in_line(queued)


def accept(run: Run, *, holds_branch: bool, owner: str | None) -> Run:
    """Return the record that a new run begins with: it holds its branch, or waits for it.

    `owner` owns it from the start if it is its turn and no command waits; None: whoever claims it will.
    """
    run = _in_line(replace(run, holds_branch=holds_branch))
    if owner is None or not run.is_ready or run.has_command:
        return run
    return _own(run, owner, run.created_at)


def promote(run: Run, *, at: datetime) -> Run:
    """Return a run that waited for its branch as holding it."""
    return _in_line(replace(run, holds_branch=True, updated_at=at))


def _in_line(run: Run) -> Run:
    """Return a queued run with the reason why nobody may claim it yet, if there is one."""
    return replace(run, reason=None if run.holds_branch else StopReason.BRANCH_BUSY)


def claim(run: Run, worker: str, *, at: datetime) -> Run | None:
    """Return the run as owned by `worker`, or None when it is not ready any more."""
    if not run.is_ready:
        return None
    return _own(run, worker, at)


def take_over(run: Run, worker: str, *, living: Collection[str], at: datetime) -> Run | None:
    """Return the run as owned by `worker`, or None when its owner lives or let go of it.

    Counts as a claim after a crash.
    """
    if run.owner is None or run.owner in living or run.is_terminal:
        return None
    return replace(_own(run, worker, at), claims=run.claims + 1, handed_over=False)


def _own(run: Run, worker: str, at: datetime) -> Run:
    return replace(
        run,
        status=move(run.status, RunStatus.RUNNING),
        reason=None,
        owner=worker,
        owned_since=at,
        epoch=run.epoch + 1,
        started_at=run.started_at or at,
        updated_at=at,
        passed_on=False,
    )


def pass_on(run: Run, update: RunUpdate, *, to: str, epoch: int, at: datetime) -> Run:
    """Return the run after its owner's last append, as owned by the worker that can go on with it.

    Raises:
        LeaseLost: another worker claimed it since.
    """
    return replace(_own(project(run, update, epoch=epoch, at=at), to, at), passed_on=True)


def take_up(run: Run, worker: str, *, at: datetime) -> Run:
    """Return a run that names `worker` as its owner as one that it begins to drive; unchanged where it is not its own.

    It was passed on; or a claim's answer was lost, or a drive broke: that counts as a claim after a crash.
    """
    if run.owner != worker or run.is_terminal:
        return run
    if run.passed_on:
        return replace(_own(run, worker, at), handed_over=False)
    return take_over(run, worker, living=(), at=at) or run


def project(run: Run, update: RunUpdate, *, epoch: int, at: datetime) -> Run:
    """Return the run after an append of its owner.

    A command that came in meanwhile and that the owner has not seen survives: the run is then
    ready again at once.

    Raises:
        LeaseLost: another worker claimed it since.
    """
    if run.epoch != epoch:
        raise LeaseLost(f"run {run.id!r} has epoch {run.epoch}, the writer has {epoch}")
    ack = run.control_ack if update.control_ack is None else max(run.control_ack, update.control_ack)
    order = run.order
    if order is not None and order.seq <= ack:
        again = tuple(call_id for call_id in order.retry_tools if call_id not in update.called)
        order = replace(order, retry_tools=again) if update.keep_order else None
    fresh = replace(
        run,
        step=run.step if update.step is None else update.step,
        last_seq=max(run.last_seq, update.last_seq),
        last_checkpoint_id=update.last_checkpoint_id or run.last_checkpoint_id,
        claims=0 if update.last_checkpoint_id else run.claims,
        metrics=update.metrics or run.metrics,
        pending_approvals=(run.pending_approvals if update.pending_approvals is None else update.pending_approvals),
        control_ack=ack,
        order=order,
        marks=run.marks[update.marks_done :],
        updated_at=at,
    )
    if update.status is None or update.status is RunStatus.RUNNING:
        return fresh
    return _let_go(fresh, update, at)


def _let_go(run: Run, update: RunUpdate, at: datetime) -> Run:
    assert update.status is not None
    status = move(run.status, update.status)
    ended = status not in RESTING and status is not RunStatus.QUEUED
    pause_taken_back = update.pause_done and run.pause is None
    if (status is RunStatus.WAITING and _has_news(run)) or pause_taken_back:
        status = RunStatus.QUEUED
    rested = replace(
        run,
        status=status,
        reason=update.reason,
        error=update.error,
        owner=None,
        owned_since=None,
        holds_branch=run.holds_branch and not ended,
        handed_over=update.handed_over,
        pause=None if update.pause_done or ended else run.pause,
        order=None if ended else run.order,
        ended_at=at if ended else None,
    )
    return _in_line(rested) if status is RunStatus.QUEUED else rested


def _has_news(run: Run) -> bool:
    """Say whether a command came in that the owner has not seen."""
    return run.control_seq > run.control_ack
