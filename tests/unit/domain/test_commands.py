"""Every command on a run in every status."""

from dataclasses import replace

import pytest

from agio.domain import control
from agio.domain.errors import InvalidTransition
from agio.domain.runs import CancelRequest, Mark, Order, PauseRequest, Words
from agio.domain.status import LIVE, RESTING, TERMINAL, RunStatus, StopReason
from tests.unit.domain.samples import T0, T9, run_in

S = RunStatus
PAUSE = PauseRequest(by="bob", at=T0)
CANCEL = CancelRequest(by="bob", at=T0)
ALL = sorted(RunStatus)


class TestPause:
    @pytest.mark.parametrize("status", [S.QUEUED, S.RUNNING, S.WAITING])
    def test_pause_is_noted_on_a_run_that_works_or_waits(self, status: RunStatus):
        run = run_in(status)
        after = control.request_pause(run, by="ann", at=T9, mode="now", reason="lunch")
        asked = PauseRequest(by="ann", at=T9, mode="now", reason="lunch")
        assert after == replace(run, pause=asked, control_seq=1, updated_at=T9)
        assert after.has_command

    def test_paused_run_stays_as_it_is(self):
        run = run_in(S.PAUSED)
        assert control.request_pause(run, by="ann", at=T9) is run

    @pytest.mark.parametrize("status", [*sorted(TERMINAL), S.INTERRUPTED])
    def test_run_that_ended_or_was_interrupted_cannot_be_paused(self, status: RunStatus):
        with pytest.raises(InvalidTransition) as caught:
            control.request_pause(run_in(status), by="ann", at=T9)
        assert caught.value.status == status

    @pytest.mark.parametrize(("first", "second"), [("safe", "safe"), ("now", "now"), ("now", "safe")])
    def test_pause_that_was_asked_for_already_changes_nothing(self, first, second):
        run = control.request_pause(run_in(S.RUNNING), by="ann", at=T0, mode=first)
        assert control.request_pause(run, by="bob", at=T9, mode=second) is run

    def test_now_sharpens_an_earlier_safe(self):
        run = control.request_pause(run_in(S.RUNNING), by="ann", at=T0)
        after = control.request_pause(run, by="bob", at=T9, mode="now")
        assert after.pause == PauseRequest(by="bob", at=T9, mode="now")
        assert after.control_seq == 2


class TestCancel:
    @pytest.mark.parametrize("status", sorted(LIVE))
    def test_cancel_is_noted_on_every_live_run(self, status: RunStatus):
        run = run_in(status)
        after = control.request_cancel(run, by="ann", at=T9, reason="enough")
        asked = CancelRequest(by="ann", at=T9, reason="enough")
        assert after == replace(run, cancel=asked, control_seq=1, updated_at=T9)
        assert after.has_command

    def test_cancelled_run_stays_as_it_is(self):
        run = run_in(S.CANCELLED)
        assert control.request_cancel(run, by="ann", at=T9) is run

    @pytest.mark.parametrize("status", [S.COMPLETED, S.FAILED])
    def test_run_that_ended_otherwise_cannot_be_cancelled(self, status: RunStatus):
        with pytest.raises(InvalidTransition):
            control.request_cancel(run_in(status), by="ann", at=T9)

    @pytest.mark.parametrize("status", sorted(LIVE))
    def test_second_cancel_changes_nothing(self, status: RunStatus):
        run = run_in(status, cancel=CANCEL)
        assert control.request_cancel(run, by="ann", at=T9) is run


class TestMark:
    @pytest.mark.parametrize("status", sorted(LIVE))
    def test_marks_queue_up_on_every_live_run(self, status: RunStatus):
        first, second = Mark(by="ann", label="one"), Mark(by="bob", label="two", tags=("x",))
        run = control.request_mark(run_in(status), first, at=T0)
        after = control.request_mark(run, second, at=T9)
        assert after == replace(run_in(status), marks=(first, second), control_seq=2, updated_at=T9)

    @pytest.mark.parametrize("status", sorted(TERMINAL))
    def test_ended_run_makes_no_more_checkpoints(self, status: RunStatus):
        with pytest.raises(InvalidTransition):
            control.request_mark(run_in(status), Mark(by="ann"), at=T9)


class TestResume:
    @pytest.mark.parametrize("status", sorted(RESTING))
    def test_resting_run_is_queued_with_its_order(self, status: RunStatus):
        run = run_in(status, reason="operator", claims=3, handed_over=True, control_seq=4)
        after = control.request_resume(
            run, by="ann", at=T9, words=(Words(id="m", content="go"),), tool_results={"c": "x"}, retry_tools=("d",)
        )
        order = Order(
            kind="resume",
            by="ann",
            seq=5,
            words=(Words(id="m", content="go"),),
            tool_results={"c": "x"},
            retry_tools=("d",),
        )
        assert after == replace(
            run, status=S.QUEUED, reason=None, order=order, control_seq=5, claims=0, handed_over=False, updated_at=T9
        )
        assert after.is_ready

    @pytest.mark.parametrize("status", [S.QUEUED, S.RUNNING, S.WAITING])
    def test_pause_that_has_not_taken_effect_is_taken_back(self, status: RunStatus):
        run = control.request_pause(run_in(status), by="bob", at=T0)
        after = control.request_resume(run, by="ann", at=T9)
        assert after.pause is None
        assert after.control_seq == run.control_seq + 1
        assert after.status is (S.QUEUED if status is S.WAITING else status)

    def test_pause_left_over_by_a_crash_does_not_stop_the_resumed_run(self):
        run = run_in(S.INTERRUPTED, pause=PAUSE)
        assert control.request_resume(run, by="ann", at=T9).pause is None

    @pytest.mark.parametrize("status", [S.QUEUED, S.RUNNING, *sorted(TERMINAL)])
    def test_run_that_does_not_rest_cannot_be_resumed(self, status: RunStatus):
        with pytest.raises(InvalidTransition) as caught:
            control.request_resume(run_in(status), by="ann", at=T9)
        assert caught.value.status == status

    @pytest.mark.parametrize("status", sorted(RESTING))
    def test_run_that_is_being_cancelled_cannot_be_resumed(self, status: RunStatus):
        with pytest.raises(InvalidTransition):
            control.request_resume(run_in(status, cancel=CANCEL), by="ann", at=T9)

    def test_run_made_without_starting_begins_when_resumed(self):
        pause = PauseRequest(by="ann", at=T0, reason=StopReason.NOT_STARTED)
        after = control.request_resume(run_in(S.QUEUED, pause=pause), by="ann", at=T9)
        assert (after.is_ready, after.has_command) == (True, False)


class TestNoteDecision:
    def test_waiting_run_goes_on(self):
        after = control.note_decision(run_in(S.WAITING), by="ann", at=T9)
        assert (after.status, after.order) == (S.QUEUED, Order(kind="approval", by="ann", seq=1))

    def test_pause_of_a_waiting_run_is_kept(self):
        run = control.request_pause(run_in(S.WAITING), by="bob", at=T0)
        after = control.note_decision(run, by="ann", at=T9)
        assert (after.status, after.pause) == (S.QUEUED, run.pause)
        assert after.has_command

    def test_working_run_is_told(self):
        after = control.note_decision(run_in(S.RUNNING), by="ann", at=T9)
        assert (after.status, after.control_seq) == (S.RUNNING, 1)
        assert after.order == Order(kind="approval", by="ann", seq=1)

    def test_working_run_keeps_the_order_that_it_has(self):
        order = Order(kind="resume", by="bob", seq=1, words=(Words(id="m", content="go"),))
        after = control.note_decision(run_in(S.RUNNING, order=order, control_seq=1), by="ann", at=T9)
        assert (after.order, after.control_seq) == (order, 2)

    @pytest.mark.parametrize("status", sorted(set(RunStatus) - {S.WAITING, S.RUNNING}))
    def test_any_other_run_stays_as_it_is(self, status: RunStatus):
        run = run_in(status)
        assert control.note_decision(run, by="ann", at=T9) is run


class TestNewAttempt:
    @pytest.mark.parametrize("status", [*sorted(TERMINAL), S.INTERRUPTED])
    def test_new_attempt_is_queued_on_its_own_branch(self, status: RunStatus):
        run = run_in(
            status,
            step=8,
            reason="x",
            error={"code": "x"},
            pending_approvals=("a",),
            claims=4,
            control_seq=3,
            pause=PAUSE,
            cancel=CANCEL,
            handed_over=True,
        )
        after = _attempt(run)
        order = Order(kind="restore", by="ann", seq=4, from_checkpoint_id="r.5")
        assert after == replace(
            run,
            status=S.QUEUED,
            attempt=2,
            branch_id="b2",
            step=2,
            base_step=2,
            holds_branch=True,
            reason=None,
            error=None,
            pending_approvals=(),
            claims=0,
            control_seq=4,
            pause=None,
            cancel=None,
            handed_over=False,
            order=order,
            ended_at=None,
            updated_at=T9,
        )
        assert after.is_ready

    def test_new_attempt_may_wait_to_be_started(self):
        after = _attempt(run_in(S.FAILED), start=False)
        assert after.pause == PauseRequest(by="ann", at=T9, reason=StopReason.NOT_STARTED)
        assert after.is_ready
        assert after.has_command

    @pytest.mark.parametrize("status", ALL)
    def test_status_that_is_not_allowed_is_refused(self, status: RunStatus):
        with pytest.raises(InvalidTransition, match="it must be") as caught:
            _attempt(run_in(status), allowed=set(RunStatus) - {status})
        assert caught.value.status == status


def _attempt(run, *, allowed=frozenset(RunStatus), start=True):
    return control.request_attempt(
        run,
        by="ann",
        at=T9,
        branch_id="b2",
        from_checkpoint_id="r.5",
        base_step=2,
        allowed=allowed,
        start=start,
    )
