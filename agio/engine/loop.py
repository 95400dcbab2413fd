"""The one step loop: every run, streamed or not, goes through here."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from agio import crashes
from agio.domain import control
from agio.domain import events as ev
from agio.domain.errors import KeyMissing, LeaseLost, ProviderError, QuotaExceeded, StoreUnavailable
from agio.domain.ids import new_id
from agio.domain.messages import Message
from agio.domain.runs import Run, RunUpdate
from agio.domain.status import RunStatus, StopReason
from agio.engine.acting import Rest, act
from agio.engine.calling import call_or_answer
from agio.engine.children import tell_parent
from agio.engine.clock import utc_now
from agio.engine.conducting import conduct
from agio.engine.drive import Drive, Services, ToolLookup
from agio.engine.journal import JournalWriter, RunJournal
from agio.engine.keys import holder_of
from agio.engine.outbox import hold_deliveries
from agio.engine.recovery import first_state, load_state
from agio.engine.restarting import end_with_worker, ends_with_worker
from agio.engine.state import RunState
from agio.engine.thinking import (
    FINAL_PROMPT,
    PLAN_PROMPT,
    build_request,
    record_answer,
    reset_partial,
    think,
    tool_schemas,
)
from agio.engine.token import ControlToken, Stop
from agio.storage.port import RunCreation

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A run that this worker owns now, and how it came by it."""

    run: Run
    abandoned: bool
    """Its last owner died."""
    creation: RunCreation | None = None
    """What it was accepted with just now; None: its state is read from the store."""
    is_blank: bool = False
    """It was accepted just now, and there is no message on its branch."""
    tools: ToolLookup | None = None
    """The agent's tools, asked for while the run was accepted."""


async def drive_run(
    services: Services, writer: JournalWriter, claim: Claim, token: ControlToken
) -> Literal["let go", "lost"]:
    """Execute a claimed run until it ends, rests, is handed over, or is lost to another worker."""
    try:
        state = await _state_of(services, claim)
    except LeaseLost:
        return "lost"
    except StoreUnavailable:
        raise
    except Exception:
        if claim.run.claims <= services.settings.max_claims:
            raise
        log.exception("a run cannot be loaded; it is set aside", extra={"run_id": claim.run.id})
        await _set_aside(services, writer, token.run)
        return "let go"
    _take_orders(state, token.run)
    journal = RunJournal(writer, claim.run, head=state.head, position=len(state.messages))
    journal.on_lost = token.lose
    drive = Drive(services=services, state=state, journal=journal, token=token, abandoned=claim.abandoned)
    drive.coming_tools = claim.tools
    journal.on_record = drive.take_record
    token.on_change = lambda before, after: _acknowledge(drive, before, after)
    try:
        await _drive(drive, claim)
    except LeaseLost:
        return "lost"
    except StoreUnavailable:
        with suppress(LeaseLost):  # who drives it again is told
            await journal.flush()  # what was emitted must land before another journal of this run begins
        raise
    except Exception:
        log.exception("a run failed inside Agio", extra={"run_id": claim.run.id})
        if drive.closing:
            raise
        await drive.hand_on("cancel")
        await drive.fail("internal_error", "something went wrong inside Agio; its log says what")
    finally:
        token.on_change = lambda before, after: None
        journal.seal()  # a tool that outlived its cancellation must not write any more
    return "lost" if token.stop is Stop.LOST else "let go"


async def _state_of(services: Services, claim: Claim) -> RunState:
    if claim.creation is None:
        return await load_state(services.store, claim.run)
    return await first_state(services.store, claim.run, claim.creation, is_blank=claim.is_blank)


def _acknowledge(drive: Drive, before: Run, after: Run) -> None:
    """Tell readers at once that a command was heard."""
    if drive.closing:
        return
    if after.pause is not None and after.pause != before.pause and after.cancel is None:
        pause = after.pause
        drive.journal.emit(ev.RunPauseRequested(by=pause.by, mode=pause.mode, reason=pause.reason))
    _take_orders(drive.state, after)
    taken_back = before.pause is not None and after.pause is None
    if taken_back and after.order is not None and after.order.kind == "resume":
        named = drive.state.checkpoint.id if drive.state.checkpoint else None
        drive.journal.emit(ev.RunResumed(by=after.order.by, checkpoint_id=named))


def _take_orders(state: RunState, run: Run) -> None:
    """Take note of what a person said about calls whose outcome is unknown."""
    if run.order is not None:
        state.tool_results |= run.order.tool_results
        state.retry_tools |= frozenset(run.order.retry_tools)


async def _drive(drive: Drive, claim: Claim) -> None:
    if drive.state.ended is not None:
        await _project_end(drive)
        return
    if not await _open(drive, claim):
        return
    alarm = _set_alarm(drive)
    try:
        while True:
            stop = drive.token.stop
            gone = await _advance(drive) if stop is None else await _leave(drive, stop)
            if gone:
                return
    finally:
        if alarm is not None:
            alarm.cancel()


def _set_alarm(drive: Drive) -> asyncio.TimerHandle | None:
    """See that a model call or a tool does not outlast the budget of seconds."""
    budget = drive.state.spec.budget
    if budget is None or budget.max_seconds is None:
        return None
    left_s = budget.max_seconds - drive.metrics().duration_ms / 1000
    return asyncio.get_running_loop().call_later(max(left_s, 0.0), drive.token.expire)


async def _open(drive: Drive, claim: Claim) -> bool:
    """Write the first entry of this ownership: it fences the last owner. False: the run rests or ended."""
    state, settings = drive.state, drive.services.settings
    if drive.token.run.order is not None and drive.token.run.order.kind == "resume":
        await drive.hand_on("resume")  # before anything acknowledges the order
    _tell_how_it_came(drive, claim)
    reset_partial(drive)
    stop, pause = drive.token.stop, drive.token.run.pause
    if stop is Stop.PAUSE and pause is not None:
        drive.journal.emit(ev.RunPauseRequested(by=pause.by, mode=pause.mode, reason=pause.reason))
    if stop is not None and await _leave(drive, stop):
        return False
    if not drive.token.run.holds_branch:  # it was claimed for a pause that was taken back
        await _give_back(drive, handed_over=False)
        return False
    if claim.abandoned and ends_with_worker(drive):
        await end_with_worker(drive)
        return False
    if claim.run.claims > settings.max_claims:
        await drive.rest_interrupted(claim.run.claims)
        return False
    if state.needs_input:
        _put_input(drive)
    elif drive.journal.head > state.head:
        drive.journal.attach(drive.update())
    if claim.abandoned or state.open_calls:
        await drive.commit()
    return True


def _tell_how_it_came(drive: Drive, claim: Claim) -> None:
    run, named = drive.token.run, drive.state.checkpoint.id if drive.state.checkpoint else None
    if (claim.abandoned or run.handed_over) and not drive.state.has_written:
        drive.journal.emit(
            ev.RunRecovered(
                reason="crashed" if claim.abandoned else "drained",
                worker=drive.services.worker_id,
                epoch=run.epoch,
                from_checkpoint_id=named,
            )
        )
    if run.order is None:
        return
    if run.order.kind == "restore":
        drive.journal.emit(
            ev.RunRestored(attempt=run.attempt, from_checkpoint_id=run.order.from_checkpoint_id, by=run.order.by)
        )
    elif run.order.kind != "child":
        drive.journal.emit(ev.RunResumed(by=run.order.by, checkpoint_id=named))


def _put_input(drive: Drive) -> None:
    """Put the user's message on the branch, with the checkpoint that a fork may start from."""
    state = drive.state
    content = state.spec.input
    if content is not None and not state.is_restored:
        drive.close_calls("the run that made this call went on elsewhere")
        drive.say(Message(id=new_id(), role="user", content=content, metadata=state.spec.input_metadata))
    drive.say_words()
    state.needs_input = False
    checkpoint = drive.mark_checkpoint("input")
    drive.journal.attach(drive.update(checkpoint), checkpoint)


async def _advance(drive: Drive) -> bool:
    """Do the next part of the run; True when it ended or rests."""
    state = drive.state
    if state.spec.workflow is not None and not state.answered:
        return await conduct(drive)
    if state.open_calls or state.unclosed:
        return await _act(drive)
    drive.decisions_heard = drive.token.run.control_seq
    drive.say_words()
    if state.spec.call is not None and not state.answered:
        return await call_or_answer(drive)
    if state.answered or state.asks:
        await _settle(drive)
        return True
    if await _may_not_ask(drive):
        return True
    if not state.in_step:
        state.step += 1
    limit = state.snapshot.max_steps
    if state.step > limit and not state.spec.force_final_answer:
        await drive.fail("max_steps", f"no answer after {limit} steps")
        return True
    drive.begin_step()
    try:
        return await _think(drive, last=state.step > limit)
    except ProviderError as error:
        await drive.fail(error.code, str(error), retryable=error.retryable)
        return True


async def _settle(drive: Drive) -> None:
    """End a run whose last message is the answer; let it wait where that is a question to the user."""
    if not drive.state.asks:
        await drive.finish()
        return
    if drive.state.in_step:
        await drive.complete_step("step")
    await drive.rest_waiting("input")


async def _may_not_ask(drive: Drive) -> bool:
    """Let go of a run that may not call its model now: the key is elsewhere, or what it may spend is spent."""
    if not drive.services.keys.has(drive.token.run, drive.state.snapshot.provider):
        return await _go_without_key(drive)
    if over := drive.over_budget():
        await drive.hand_on("cancel")
        await drive.fail("budget_exceeded", over)
        return True
    if wait_s := await drive.services.quota.wait_s(drive.state.run.group_id):
        text = f"the group has spent its tokens; some are free again in {wait_s:.0f} s: retry then"
        await drive.fail(QuotaExceeded.code, text, retryable=True)
        return True
    return False


async def _think(drive: Drive, *, last: bool) -> bool:
    state = drive.state
    interval = state.snapshot.planning_interval
    if interval and not last and (state.step - 1) % interval == 0 and state.planned_step != state.step:
        stop = await _plan(drive)
        if stop is not None:
            return await _leave(drive, stop)
    if last:
        text = f"the limit of {state.snapshot.max_steps} steps is reached; a final answer is asked for"
        drive.journal.emit(ev.Warned(code="max_steps", message=text))
        request = build_request(drive, (), extra=FINAL_PROMPT)
    else:
        request = build_request(drive, await tool_schemas(drive))
    answer = await think(drive, request)
    await drive.make_room()
    if isinstance(answer, Stop):
        return await _leave(drive, answer)
    if last or not answer.calls:
        await drive.foresee_end()  # here, so that nothing waits between the look for a pause and the end
    message = record_answer(drive, answer, keep_calls=not last)
    if message.tool_calls or message.is_question:
        return False
    if drive.token.stop is Stop.PAUSE or drive.unsaid():
        await drive.complete_step("final")
        return False
    if drive.token.stop not in (None, Stop.HAND_OVER, Stop.SPENT):
        return False
    await drive.finish()
    return True


async def _plan(drive: Drive) -> Stop | None:
    state = drive.state
    answer = await think(drive, build_request(drive, (), extra=PLAN_PROMPT), show=False)
    if isinstance(answer, Stop):
        return answer
    revised = state.plan is not None
    state.plan, state.planned_step = answer.text, state.step
    drive.journal.emit(ev.PlanUpdated(step=state.step, plan=answer.text, revised=revised, usage=answer.usage))
    return None


async def _act(drive: Drive) -> bool:
    state = drive.state
    if not state.in_step:
        state.step += 1
        drive.begin_step()
    else:
        drive.services.observer.step_began(state.step)  # an earlier owner may have announced it
    await drive.make_room()
    outcome = await act(drive)
    match outcome:
        case None:
            await drive.complete_step("step")
            return False
        case Rest.APPROVAL:
            await drive.rest_waiting("approval")
        case Rest.NEEDS_ATTENTION:
            await drive.rest_waiting("needs_attention")
        case Rest.CHILDREN:
            await drive.rest_waiting("children")
        case _:
            return await _leave(drive, outcome)
    return True


async def _leave(drive: Drive, stop: Stop) -> bool:
    """Let go of the run for the reason given; False when the reason was taken back meanwhile."""
    match stop:
        case Stop.LOST:
            return True
        case Stop.CANCEL:
            await drive.hand_on("cancel")
            await drive.cancel(partial=drive.state.partial_text)
        case Stop.SPENT:
            reset_partial(drive)
            await drive.hand_on("cancel")
            await drive.fail("budget_exceeded", "the seconds that the budget allows are spent")
        case Stop.PAUSE:
            reset_partial(drive)
            if drive.token.stop is not Stop.PAUSE:
                return False
            await drive.hand_on("pause")
            await drive.rest_paused()
        case Stop.HAND_OVER if ends_with_worker(drive):
            await end_with_worker(drive)
        case Stop.HAND_OVER:
            await _give_back(drive, handed_over=True)
    return True


async def _give_back(drive: Drive, *, handed_over: bool) -> None:
    """Queue the run again, for whoever claims it next."""
    drive.closing = True
    drive.journal.seal()
    await drive.journal.flush()
    crashes.at("drain")
    update = RunUpdate(
        status=RunStatus.QUEUED,
        last_seq=drive.journal.head,
        handed_over=handed_over,
        keep_order=drive.is_owing,
    )
    await drive.project(update)


async def _go_without_key(drive: Drive) -> bool:
    """Pass the run on to the worker that holds its caller's key; if that died, let it rest until one comes."""
    holder, services = holder_of(drive.token.run), drive.services
    is_elsewhere = holder is not None and holder != services.worker_id
    # If it is dead though it has not retired, the run comes back as abandoned.
    if holder is not None and is_elsewhere and await services.lives(holder, for_sure=drive.abandoned):
        drive.closing = True
        drive.journal.seal()
        await drive.journal.flush()
        run, update = drive.state.run, RunUpdate(last_seq=drive.journal.head, keep_order=drive.is_owing)
        await drive.services.store.update_run(
            run.group_id,
            run.id,
            lambda record: control.pass_on(record, update, to=holder, epoch=run.epoch, at=utc_now()),
        )
        return True
    drive.decisions_heard = drive.token.run.control_seq
    await drive.make_room()
    drive.journal.emit(ev.Warned(code=KeyMissing.code, message=str(KeyMissing())))
    await drive.rest_waiting("llm_key_missing")
    return True


async def _set_aside(services: Services, writer: JournalWriter, run: Run) -> None:
    """Let a run rest that cannot even be loaded; or end it, if someone asked for that."""
    head = await services.store.head(run.group_id, run.id)
    held = await hold_deliveries(services.store, run, after=head)
    journal = RunJournal(writer, run, head=head, position=0)
    if run.cancel is not None:
        status = RunStatus.CANCELLED
        journal.emit(ev.RunCancelled(by=run.cancel.by, reason=run.cancel.reason, metrics=run.metrics))
    else:
        status = RunStatus.INTERRUPTED
        journal.emit(ev.RunInterrupted(reason=StopReason.POISON, claims=run.claims))
    update = RunUpdate(status=status, reason=StopReason.POISON, last_seq=journal.head, keep_order=True)
    journal.attach(replace(update, status=None) if run.place is not None else update)
    journal.seal()
    await journal.flush()
    services.deliver(held)
    if run.place is not None:
        await tell_parent(services.store, services.notify, run)
        await services.store.update_run(
            run.group_id, run.id, lambda record: control.project(record, update, epoch=run.epoch, at=utc_now())
        )


async def _project_end(drive: Drive) -> None:
    """The journal has the end, the last owner died before the record said so."""
    state = drive.state
    if state.ended is None:
        return
    drive.closing = True
    error, asked = state.end_error, state.run.cancel
    why = (asked.reason or StopReason.OPERATOR) if asked else StopReason.RESTART
    reasons = {"completed": StopReason.ANSWERED, "failed": str(error["code"]) if error else None, "cancelled": why}
    update = RunUpdate(
        status=RunStatus(state.ended),
        reason=reasons[state.ended],
        step=state.checkpoint.step if state.checkpoint else None,
        last_seq=state.head,
        last_checkpoint_id=state.checkpoint.id if state.checkpoint else None,
        metrics=state.metrics,
        error=error,
        pending_approvals=(),
        control_ack=state.run.control_seq,
    )
    await drive.project(update)
