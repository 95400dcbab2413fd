"""Run statuses and the one table of transitions between them."""

from enum import StrEnum

from agio.domain.errors import InvalidTransition


class RunStatus(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    """Accepted; waits for a worker, or for its turn on a busy branch."""
    RUNNING = "running"
    """A worker owns it."""
    PAUSED = "paused"
    """Rests because an operator asked; holds nothing."""
    WAITING = "waiting"
    """Rests until an approval, a person's decision, or the end of a child run; holds nothing."""
    INTERRUPTED = "interrupted"
    """Rests because its workers kept dying; holds nothing."""
    COMPLETED = "completed"
    """Ended with an answer."""
    FAILED = "failed"
    """Ended with an error."""
    CANCELLED = "cancelled"
    """Ended because someone asked."""


class StopReason(StrEnum):
    """Why a run stands where it stands, for machines."""

    OPERATOR = "operator"
    """A person or client asked (pause, cancel)."""
    INTERRUPTED_BY_MESSAGE = "interrupted_by_message"
    """A newer message of the session took its place (`on_busy: interrupt`)."""
    CLIENT_LEFT = "client_left"
    """Its last client left and it was not detached."""
    APPROVAL = "approval"
    """A tool call needs an approval."""
    NEEDS_ATTENTION = "needs_attention"
    """A tool call's outcome is unknown after a crash; a person must decide."""
    INPUT = "input"
    """The agent asks the user; the next message goes on."""
    CHILDREN = "children"
    """Child runs work for it."""
    LLM_KEY_MISSING = "llm_key_missing"
    """The model key that came with its request died with a process; a resume must bring one."""
    POISON = "poison"
    """Its workers died too often without progress."""
    BRANCH_BUSY = "branch_busy"
    """Queued behind another run of the same branch."""
    NOT_STARTED = "not_started"
    """Made with `start: false`; rests until resumed."""
    RESTART = "restart"
    """Cancelled because the server restarted (`on_restart: cancel`)."""
    ANSWERED = "answered"
    """The model answered."""
    ERROR = "error"
    """It failed; see the error."""


RESTART_TEXT = "Job cancelled - service was restarted while job was running"
"""Said of `StopReason.RESTART` (seed item S48)."""

TERMINAL = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})
"""Nothing follows, except a new attempt."""

RESTING = frozenset({RunStatus.PAUSED, RunStatus.WAITING, RunStatus.INTERRUPTED})
"""Holds no worker and is not ended."""

LIVE = frozenset(RunStatus) - TERMINAL
"""Not ended."""

_S = RunStatus
TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    _S.QUEUED: frozenset({_S.RUNNING, _S.PAUSED}),
    _S.RUNNING: frozenset({_S.QUEUED, _S.PAUSED, _S.WAITING, _S.INTERRUPTED, _S.COMPLETED, _S.FAILED, _S.CANCELLED}),
    _S.PAUSED: frozenset({_S.QUEUED, _S.RUNNING}),
    _S.WAITING: frozenset({_S.QUEUED, _S.RUNNING}),
    _S.INTERRUPTED: frozenset({_S.QUEUED, _S.RUNNING}),
    _S.COMPLETED: frozenset({_S.QUEUED}),
    _S.FAILED: frozenset({_S.QUEUED}),
    _S.CANCELLED: frozenset({_S.QUEUED}),
}
"""Legal moves. Resting → running: a worker claims it only to carry out a command (cancel, pause).
Terminal → queued: a new attempt (in-place restore, retry)."""


def move(current: RunStatus, target: RunStatus) -> RunStatus:
    """Return `target` if the table allows the move.

    Raises:
        InvalidTransition: the table forbids it.
    """
    if target is not current and target not in TRANSITIONS[current]:
        raise InvalidTransition(f"a run cannot go from {current} to {target}", status=current)
    return target
