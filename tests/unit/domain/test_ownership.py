"""Claims, take-overs, and what an owner's append does to the record."""

from dataclasses import replace
from itertools import product

import pytest

from agio.domain import control
from agio.domain.errors import InvalidTransition, LeaseLost
from agio.domain.metrics import Metrics
from agio.domain.runs import CancelRequest, Mark, Order, PauseRequest
from agio.domain.status import LIVE, RESTING, TERMINAL, RunStatus
from tests.unit.domain.samples import T0, T9, an_update, run_in

S = RunStatus
PAUSE = PauseRequest(by="bob", at=T0)
CANCEL = CancelRequest(by="bob", at=T0)


class TestIsReady:
    @pytest.mark.parametrize(
        ("status", "holds", "pause", "cancel", "owner"),
        list(product(RunStatus, [True, False], [None, PAUSE], [None, CANCEL], [None, "worker-1"])),
    )
    def test_run_is_ready_when_it_is_its_turn_or_a_command_waits(self, status, holds, pause, cancel, owner):
        run = run_in(status, holds_branch=holds, pause=pause, cancel=cancel, owner=owner)
        turn = status is S.QUEUED and holds
        asked = cancel is not None or (pause is not None and status in {S.QUEUED, S.RUNNING, S.WAITING})
        assert run.is_ready == (owner is None and status in LIVE and (turn or asked))

    @pytest.mark.parametrize("status", sorted(RunStatus))
    def test_run_is_live_until_it_has_ended(self, status: RunStatus):
        assert run_in(status).is_live == (status not in TERMINAL)
        assert run_in(status).is_terminal == (status in TERMINAL)


class TestClaim:
    def test_claimed_run_is_owned_and_its_epoch_grows(self):
        run = run_in(S.QUEUED, epoch=4, reason="x", claims=2, handed_over=True)
        assert control.claim(run, "w", at=T9) == replace(
            run,
            status=S.RUNNING,
            reason=None,
            owner="w",
            owned_since=T9,
            epoch=5,
            started_at=T9,
            updated_at=T9,
        )

    def test_time_of_the_first_start_is_kept(self):
        run = run_in(S.QUEUED, started_at=T0)
        claimed = control.claim(run, "w", at=T9)
        assert claimed is not None
        assert claimed.started_at == T0

    @pytest.mark.parametrize("status", sorted(RESTING))
    def test_resting_run_is_claimed_for_a_command_only(self, status: RunStatus):
        run = run_in(status)
        assert control.claim(run, "w", at=T9) is None
        assert control.claim(replace(run, cancel=CANCEL), "w", at=T9) is not None

    @pytest.mark.parametrize("status", [S.RUNNING, *sorted(TERMINAL)])
    def test_owned_or_ended_run_is_not_claimed(self, status: RunStatus):
        assert control.claim(run_in(status, cancel=CANCEL), "w", at=T9) is None

    def test_run_behind_another_is_claimed_for_a_command_only(self):
        run = run_in(S.QUEUED, holds_branch=False)
        assert control.claim(run, "w", at=T9) is None
        claimed = control.claim(replace(run, pause=PAUSE), "w", at=T9)
        assert claimed is not None
        assert not claimed.holds_branch


class TestTakeOver:
    def test_run_of_a_dead_owner_is_taken_and_counted(self):
        run = run_in(S.RUNNING, epoch=4, claims=2, handed_over=True)
        taken = control.take_over(run, "w", living={"other"}, at=T9)
        assert taken == replace(run, owner="w", owned_since=T9, epoch=5, claims=3, handed_over=False, updated_at=T9)

    def test_run_of_a_living_owner_is_left_alone(self):
        assert control.take_over(run_in(S.RUNNING), "w", living={"worker-1"}, at=T9) is None

    @pytest.mark.parametrize("status", sorted(set(RunStatus) - {S.RUNNING}))
    def test_run_without_an_owner_is_left_alone(self, status: RunStatus):
        assert control.take_over(run_in(status), "w", living=(), at=T9) is None

    def test_ended_run_is_left_alone_whatever_it_says(self):
        assert control.take_over(run_in(S.COMPLETED, owner="dead"), "w", living=(), at=T9) is None


class TestProject:
    def test_update_that_says_nothing_changes_no_more_than_its_number(self):
        run = run_in(S.RUNNING, last_seq=5, claims=2, step=3)
        assert control.project(run, an_update(last_seq=7), epoch=1, at=T9) == replace(run, last_seq=7, updated_at=T9)

    def test_number_never_goes_back(self):
        assert control.project(run_in(S.RUNNING, last_seq=9), an_update(last_seq=7), epoch=1, at=T9).last_seq == 9

    @pytest.mark.parametrize("epoch", [0, 2])
    def test_another_epoch_has_lost_its_lease(self, epoch: int):
        with pytest.raises(LeaseLost, match="epoch"):
            control.project(run_in(S.RUNNING), an_update(), epoch=epoch, at=T9)

    def test_every_field_of_the_update_is_taken_over(self):
        update = an_update(step=4, metrics=Metrics(steps=4), pending_approvals=("a",), last_checkpoint_id="r.2")
        after = control.project(run_in(S.RUNNING, claims=3), update, epoch=1, at=T9)
        assert (after.step, after.metrics, after.pending_approvals) == (4, Metrics(steps=4), ("a",))
        assert (after.last_checkpoint_id, after.claims) == ("r.2", 0)

    def test_step_zero_and_no_approvals_are_values_too(self):
        run = run_in(S.RUNNING, step=4, pending_approvals=("a",))
        after = control.project(run, an_update(step=0, pending_approvals=()), epoch=1, at=T9)
        assert (after.step, after.pending_approvals) == (0, ())

    @pytest.mark.parametrize("status", sorted(TERMINAL))
    def test_ended_run_lets_go_of_everything(self, status: RunStatus):
        run = run_in(S.RUNNING, pause=PAUSE, order=Order(kind="resume", by="x", seq=9), control_seq=9)
        after = control.project(run, an_update(status=status, reason="because", error={"code": "x"}), epoch=1, at=T9)
        assert (after.status, after.reason, after.error, after.ended_at) == (status, "because", {"code": "x"}, T9)
        assert (after.owner, after.owned_since, after.holds_branch) == (None, None, False)
        assert (after.pause, after.order) == (None, None)

    @pytest.mark.parametrize("status", sorted(RESTING))
    def test_resting_run_keeps_its_branch_and_has_no_owner(self, status: RunStatus):
        after = control.project(run_in(S.RUNNING), an_update(status=status, reason="x"), epoch=1, at=T9)
        assert (after.status, after.reason, after.owner, after.holds_branch) == (status, "x", None, True)
        assert after.ended_at is None
        assert not after.is_ready

    def test_run_given_back_says_so(self):
        after = control.project(run_in(S.RUNNING), an_update(status=S.QUEUED, handed_over=True), epoch=1, at=T9)
        assert (after.status, after.owner, after.handed_over, after.is_ready) == (S.QUEUED, None, True, True)

    @pytest.mark.parametrize("status", sorted(set(RunStatus) - {S.RUNNING}))
    def test_owner_that_let_go_may_not_end_the_run_any_more(self, status: RunStatus):
        with pytest.raises(InvalidTransition):
            control.project(
                run_in(status),
                an_update(status=S.FAILED if status is not S.FAILED else S.COMPLETED),
                epoch=run_in(status).epoch,
                at=T9,
            )

    def test_acknowledged_order_is_done(self):
        run = run_in(S.RUNNING, order=Order(kind="resume", by="x", seq=3), control_seq=4)
        assert control.project(run, an_update(control_ack=2), epoch=1, at=T9).order is not None
        assert control.project(run, an_update(control_ack=3), epoch=1, at=T9).order is None
        assert control.project(run, an_update(), epoch=1, at=T9).order is not None

    def test_acknowledgement_never_goes_back(self):
        run = run_in(S.RUNNING, control_seq=4, control_ack=3)
        assert control.project(run, an_update(control_ack=2), epoch=1, at=T9).control_ack == 3

    def test_marks_that_were_taken_go_in_order(self):
        marks = tuple(Mark(by="ann", label=str(i)) for i in range(3))
        after = control.project(run_in(S.RUNNING, marks=marks), an_update(marks_done=2), epoch=1, at=T9)
        assert after.marks == marks[2:]
