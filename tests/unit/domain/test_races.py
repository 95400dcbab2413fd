"""Commands that cross an owner's append: none is lost, as sequences of pure calls."""

from dataclasses import replace

import pytest

from agio.domain import control
from agio.domain.errors import LeaseLost
from agio.domain.runs import Mark, Run, Words
from agio.domain.status import RESTING, RunStatus
from tests.unit.domain.samples import T0, T9, an_update, run_in

S = RunStatus


def test_cancel_during_the_last_step_is_answered_by_the_true_end():
    run = control.request_cancel(run_in(S.RUNNING), by="ann", at=T0)
    after = control.project(run, an_update(status=S.COMPLETED), epoch=1, at=T9)
    assert (after.status, after.has_command, after.is_ready) == (S.COMPLETED, False, False)


@pytest.mark.parametrize("status", sorted(RESTING))
def test_cancel_that_crosses_coming_to_rest_is_carried_out_next(status: RunStatus):
    run = control.request_cancel(run_in(S.RUNNING), by="ann", at=T0)
    after = control.project(run, an_update(status=status, control_ack=0), epoch=1, at=T9)
    assert after.is_ready
    claimed = control.claim(after, "worker-2", at=T9)
    assert claimed is not None
    assert claimed.cancel is not None


@pytest.mark.parametrize("status", [S.WAITING, S.QUEUED])
def test_pause_that_crosses_letting_go_is_carried_out_next(status: RunStatus):
    run = control.request_pause(run_in(S.RUNNING), by="ann", at=T0)
    after = control.project(run, an_update(status=status), epoch=1, at=T9)
    assert after.is_ready
    assert after.pause is not None


def test_pause_that_was_carried_out_is_not_carried_out_again():
    run = control.request_pause(run_in(S.RUNNING), by="ann", at=T0)
    after = control.project(run, an_update(status=S.PAUSED, pause_done=True, control_ack=1), epoch=1, at=T9)
    assert (after.status, after.pause, after.is_ready) == (S.PAUSED, None, False)


def test_decision_that_crosses_waiting_queues_the_run_at_once():
    run = control.note_decision(run_in(S.RUNNING), by="ann", at=T0)
    after = control.project(run, an_update(status=S.WAITING), epoch=1, at=T9)
    assert (after.status, after.is_ready) == (S.QUEUED, True)


def test_decision_that_the_owner_saw_does_not_wake_the_run():
    run = control.note_decision(run_in(S.RUNNING), by="ann", at=T0)
    after = control.project(run, an_update(status=S.WAITING, control_ack=1), epoch=1, at=T9)
    assert (after.status, after.is_ready) == (S.WAITING, False)


def test_decision_that_crosses_pausing_leaves_the_run_paused():
    run = control.request_pause(run_in(S.RUNNING), by="ann", at=T0)
    run = control.note_decision(run, by="bob", at=T0)
    after = control.project(run, an_update(status=S.PAUSED, pause_done=True, control_ack=1), epoch=1, at=T9)
    assert (after.status, after.is_ready) == (S.PAUSED, False)


def test_resume_that_crosses_pausing_queues_the_run_at_once():
    """The owner saw the pause and writes that it rests; the client took the pause back meanwhile."""
    run = _paused_and_resumed(run_in(S.RUNNING))
    after = control.project(run, an_update(status=S.PAUSED, pause_done=True, control_ack=1), epoch=1, at=T9)
    assert (after.status, after.is_ready) == (S.QUEUED, True)
    assert after.order is not None
    assert after.order.kind == "resume"


def test_resume_that_crosses_pausing_a_restored_run_queues_it_at_once():
    run = control.request_attempt(
        run_in(S.FAILED),
        by="ann",
        at=T0,
        branch_id="b2",
        from_checkpoint_id="r.5",
        base_step=0,
        allowed={S.FAILED},
        start=False,
    )
    seen = control.claim(run, "worker-1", at=T0)
    assert seen is not None
    resumed = control.request_resume(seen, by="ann", at=T0)
    update = an_update(status=S.PAUSED, pause_done=True, control_ack=seen.control_seq)
    after = control.project(resumed, update, epoch=seen.epoch, at=T9)
    assert (after.status, after.is_ready) == (S.QUEUED, True)


def test_pause_after_a_resume_that_crosses_pausing_holds():
    run = control.request_pause(_paused_and_resumed(run_in(S.RUNNING)), by="ann", at=T0)
    after = control.project(run, an_update(status=S.PAUSED, pause_done=True, control_ack=1), epoch=1, at=T9)
    assert (after.status, after.is_ready) == (S.PAUSED, False)


def test_message_of_a_resume_that_crosses_pausing_is_kept():
    run = control.request_pause(run_in(S.RUNNING), by="ann", at=T0)
    run = control.request_resume(run, by="ann", at=T0, words=(Words(id="m", content="go"),))
    after = control.project(run, an_update(status=S.PAUSED, pause_done=True, control_ack=1), epoch=1, at=T9)
    assert after.order is not None
    assert after.order.words == (Words(id="m", content="go"),)


def test_cancel_that_crosses_a_drain_is_carried_out_by_the_next_owner():
    run = control.request_cancel(run_in(S.RUNNING), by="ann", at=T0)
    after = control.project(run, an_update(status=S.QUEUED, handed_over=True), epoch=1, at=T9)
    claimed = control.claim(after, "worker-2", at=T9)
    assert claimed is not None
    assert claimed.cancel is not None


def test_mark_that_crosses_a_checkpoint_is_left_for_the_next_one():
    run = control.request_mark(run_in(S.RUNNING), Mark(by="ann", label="one"), at=T0)
    seen = len(run.marks)
    run = control.request_mark(run, Mark(by="ann", label="two"), at=T0)
    after = control.project(run, an_update(marks_done=seen, last_checkpoint_id="r.2"), epoch=1, at=T9)
    assert [mark.label for mark in after.marks] == ["two"]


def test_owner_that_was_taken_over_changes_nothing_any_more():
    stale = run_in(S.RUNNING)
    taken = control.take_over(stale, "worker-2", living=(), at=T0)
    assert taken is not None
    with pytest.raises(LeaseLost):
        control.project(taken, an_update(status=S.COMPLETED), epoch=stale.epoch, at=T9)


def test_command_survives_a_take_over():
    run = control.request_pause(run_in(S.RUNNING), by="ann", at=T0, mode="now")
    taken = control.take_over(run, "worker-2", living=(), at=T9)
    assert taken is not None
    assert (taken.pause, taken.control_seq, taken.control_ack) == (run.pause, 1, 0)


def test_order_survives_a_crash_before_it_was_acknowledged():
    queued = control.request_resume(run_in(S.PAUSED), by="ann", at=T0, words=(Words(id="w", content="go"),))
    claimed = control.claim(queued, "worker-1", at=T0)
    assert claimed is not None
    taken = control.take_over(claimed, "worker-2", living=(), at=T9)
    assert taken is not None
    assert taken.order == queued.order


def test_cancel_of_the_last_attempt_does_not_reach_the_next():
    run = replace(control.request_cancel(run_in(S.RUNNING), by="ann", at=T0), status=S.RUNNING)
    ended = control.project(run, an_update(status=S.CANCELLED, control_ack=1), epoch=1, at=T0)
    again = control.request_attempt(
        ended, by="ann", at=T9, branch_id="b2", from_checkpoint_id=None, base_step=0, allowed={S.CANCELLED}
    )
    assert not again.has_command


class TestWordsOfAResume:
    """What a client says with a resume must reach an owner, however the commands cross."""

    def test_message_for_a_run_that_was_not_claimed_for_its_pause_yet(self):
        run = control.request_pause(run_in(S.QUEUED), by="ann", at=T0)
        after = control.request_resume(run, by="ann", at=T9, words=(Words(id="w", content="go"),))
        assert _message(after) == "go"

    def test_message_that_waits_while_a_later_pause_is_taken_back(self):
        run = control.request_resume(run_in(S.PAUSED), by="ann", at=T0, words=(Words(id="w", content="go"),))
        claimed = control.claim(run, "worker-1", at=T0)
        assert claimed is not None
        after = _paused_and_resumed(claimed)
        assert _message(after) == "go"

    def test_checkpoint_of_a_restore_that_waits_while_a_later_pause_is_taken_back(self):
        run = control.request_attempt(
            run_in(S.FAILED), by="ann", at=T0, branch_id="b2", from_checkpoint_id="r.5", base_step=0, allowed={S.FAILED}
        )
        claimed = control.claim(run, "worker-1", at=T0)
        assert claimed is not None
        after = _paused_and_resumed(claimed)
        assert after.order is not None
        assert (after.order.kind, after.order.from_checkpoint_id) == ("restore", "r.5")


def _paused_and_resumed(run: Run) -> Run:
    return control.request_resume(control.request_pause(run, by="ann", at=T0), by="ann", at=T0)


def _message(run: Run):
    return run.order.words[-1].content if run.order is not None and run.order.words else None
