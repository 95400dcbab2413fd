"""Any interleaving of clients, owners that see late, and owners that do not know that they were replaced."""

from dataclasses import dataclass, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from agio.domain import control
from agio.domain.errors import InvalidTransition, LeaseLost
from agio.domain.runs import Mark, Run, RunUpdate
from agio.domain.status import LIVE, TERMINAL, RunStatus
from tests.unit.domain.samples import T0, run_in

S = RunStatus


@dataclass
class Owner:
    """A worker that was given the run; it acts on what it saw last."""

    name: str
    seen: Run


class ControlMachine(RuleBasedStateMachine):
    """One run; every rule is one atomic change of its record, or an owner's look at it."""

    owners = Bundle("owners")

    def __init__(self) -> None:
        super().__init__()
        self.run = run_in(S.QUEUED)
        self.workers = 0
        self.wish = "go"
        self.cancelled = False
        self.decided_at = 0
        self.marks_asked: list[str | None] = []
        self.marks_taken: list[str | None] = []
        self.owned_epochs = [0]

    # Clients

    @rule(mode=st.sampled_from(["safe", "now"]))
    def pause(self, mode):
        before = self.run
        try:
            self.run = control.request_pause(before, by="ann", at=T0, mode=mode)
        except InvalidTransition:
            assert before.status in TERMINAL | {S.INTERRUPTED}
        else:
            self.wish = "pause"

    @rule()
    def resume(self):
        before = self.run
        try:
            self.run = control.request_resume(before, by="ann", at=T0)
        except InvalidTransition:
            assert before.cancel is not None or before.status in TERMINAL | {S.QUEUED, S.RUNNING}
        else:
            self.wish = "go"

    @rule()
    def cancel(self):
        before = self.run
        try:
            self.run = control.request_cancel(before, by="ann", at=T0)
        except InvalidTransition:
            assert before.status in {S.COMPLETED, S.FAILED}
        else:
            self.cancelled = True

    @rule()
    def decide(self):
        before = self.run
        self.run = control.note_decision(before, by="ann", at=T0)
        if self.run is not before:
            self.decided_at = self.run.control_seq

    @rule()
    def mark(self):
        label = str(len(self.marks_asked))
        try:
            self.run = control.request_mark(self.run, Mark(by="ann", label=label), at=T0)
        except InvalidTransition:
            assert self.run.is_terminal
        else:
            self.marks_asked.append(label)

    @precondition(lambda self: self.run.status in TERMINAL | {S.INTERRUPTED})
    @rule(start=st.booleans())
    def try_again(self, start):
        self.run = control.request_attempt(
            self.run,
            by="ann",
            at=T0,
            branch_id=f"b{self.run.attempt + 1}",
            from_checkpoint_id=None,
            base_step=0,
            allowed=TERMINAL | {S.INTERRUPTED},
            start=start,
        )
        self.wish = "go" if start else "pause"
        self.cancelled = False

    # Workers

    @rule(target=owners)
    def claim(self):
        name = self._new_worker()
        claimed = control.claim(self.run, name, at=T0)
        assert (claimed is not None) == self.run.is_ready
        return self._owned(name, claimed)

    @rule(target=owners, alive=st.booleans())
    def take_over(self, alive):
        name = self._new_worker()
        living = {self.run.owner} if alive and self.run.owner else set()
        taken = control.take_over(self.run, name, living=living, at=T0)
        assert (taken is not None) == (self.run.owner is not None and not alive)
        return self._owned(name, taken)

    def _new_worker(self) -> str:
        self.workers += 1
        return f"worker-{self.workers}"

    def _owned(self, name: str, run: Run | None) -> Owner:
        """Return the owner; one that was given nothing is one that will be refused for ever."""
        if run is None:
            return Owner(name, replace(self.run, epoch=-1))
        assert run.epoch == self.owned_epochs[-1] + 1
        self.owned_epochs.append(run.epoch)
        self.run = run
        return Owner(name, run)

    @rule(owner=owners)
    def see(self, owner):
        if self.run.owner == owner.name:
            owner.seen = self.run

    @rule(owner=owners)
    def commit_step(self, owner):
        taken = owner.seen.marks[:1]
        if self._append(owner, last_checkpoint_id="r.2", marks_done=len(taken)):
            assert self.run.claims == 0
            self.marks_taken += [mark.label for mark in taken]
            owner.seen = self.run

    @rule(owner=consumes(owners))
    def stop_as_asked(self, owner):
        if owner.seen.cancel is not None:
            self._append(owner, status=S.CANCELLED)
        elif owner.seen.pause is not None:
            self._append(owner, status=S.PAUSED, pause_done=True)

    @rule(owner=consumes(owners), status=st.sampled_from([S.WAITING, S.INTERRUPTED, S.COMPLETED, S.FAILED]))
    def stop_by_itself(self, owner, status):
        self._append(owner, status=status)

    @rule(owner=consumes(owners))
    def give_back(self, owner):
        self._append(owner, status=S.QUEUED, handed_over=True)

    def _append(self, owner: Owner, **update) -> bool:
        """Project an append of this owner; it takes effect only if it is the last one."""
        mine = self.run.owner == owner.name
        change = RunUpdate(**{"last_seq": 2, "control_ack": owner.seen.control_seq} | update)
        try:
            self.run = control.project(self.run, change, epoch=owner.seen.epoch, at=T0)
        except LeaseLost:
            assert not mine, "the present owner was refused"
            return False
        assert mine, "an owner that was replaced changed the run"
        return True

    # What holds after every step

    @invariant()
    def record_is_consistent(self):
        run = self.run
        assert (run.status is S.RUNNING) == (run.owner is not None)
        assert run.control_ack <= run.control_seq
        assert run.epoch == self.owned_epochs[-1]
        assert run.holds_branch == run.is_live
        if run.is_terminal:
            assert (run.pause, run.order) == (None, None)

    @invariant()
    def run_is_ready_exactly_when_someone_should_take_it(self):
        run = self.run
        unowned = run.owner is None and run.status in LIVE
        asked = run.cancel is not None or (run.pause is not None and run.status in {S.QUEUED, S.WAITING})
        assert run.is_ready == (unowned and (run.status is S.QUEUED or asked))

    @invariant()
    def last_word_about_pausing_wins(self):
        run = self.run
        if run.is_terminal:
            return
        if self.wish == "go":
            assert run.pause is None
            assert run.status is not S.PAUSED
        else:
            assert run.status is S.PAUSED or run.pause is not None or run.cancel is not None

    @invariant()
    def cancel_is_carried_out_or_still_asked_for(self):
        if self.cancelled and not self.run.is_terminal:
            assert self.run.cancel is not None
            assert self.run.owner is not None or self.run.is_ready

    @invariant()
    def run_does_not_wait_for_what_was_decided(self):
        if self.run.status is S.WAITING:
            assert self.decided_at <= self.run.control_ack

    @invariant()
    def every_mark_is_taken_once_and_in_order(self):
        assert self.marks_taken + [mark.label for mark in self.run.marks] == self.marks_asked


TestControl = ControlMachine.TestCase
ControlMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
