"""The table of transitions, every pair of it."""

from itertools import product

import pytest

from agio.domain.errors import InvalidTransition
from agio.domain.status import LIVE, RESTING, TERMINAL, TRANSITIONS, RunStatus, move

S = RunStatus

LEGAL = {
    (S.QUEUED, S.RUNNING),
    (S.QUEUED, S.PAUSED),
    (S.RUNNING, S.QUEUED),
    (S.RUNNING, S.PAUSED),
    (S.RUNNING, S.WAITING),
    (S.RUNNING, S.INTERRUPTED),
    (S.RUNNING, S.COMPLETED),
    (S.RUNNING, S.FAILED),
    (S.RUNNING, S.CANCELLED),
    *((resting, target) for resting in RESTING for target in (S.QUEUED, S.RUNNING)),
    *((ended, S.QUEUED) for ended in TERMINAL),
}
"""Written out once more, so that a change of the table is a change of this test."""


@pytest.mark.parametrize(("current", "target"), list(product(RunStatus, RunStatus)))
def test_move_follows_the_table(current: RunStatus, target: RunStatus):
    if current is target or (current, target) in LEGAL:
        assert move(current, target) is target
        return
    with pytest.raises(InvalidTransition) as caught:
        move(current, target)
    assert caught.value.status == current


def test_table_names_every_status():
    assert set(TRANSITIONS) == set(RunStatus)


def test_statuses_are_terminal_resting_queued_or_running():
    assert TERMINAL | RESTING | {S.QUEUED, S.RUNNING} == set(RunStatus)
    assert not TERMINAL & RESTING
    assert set(RunStatus) - TERMINAL == LIVE


@pytest.mark.parametrize("ended", sorted(TERMINAL))
def test_ended_run_can_only_begin_a_new_attempt(ended: RunStatus):
    assert TRANSITIONS[ended] == {S.QUEUED}


@pytest.mark.parametrize("status", sorted(LIVE))
def test_every_live_status_leads_to_an_end(status: RunStatus):
    seen, pending = set(), [status]
    while pending:
        here = pending.pop()
        seen.add(here)
        pending += TRANSITIONS[here] - seen
    assert seen >= TERMINAL
