"""Moves that a plant and a reference make together; after each they must agree.

Every move takes numbers and picks, from what is there, what it can be made with; where nothing is, it does nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from agio.api.sse import wire_events
from agio.domain.approvals import Approval
from agio.domain.errors import Conflict
from agio.domain.ids import new_id
from agio.domain.messages import Message
from agio.domain.runs import Run, RunFilter
from agio.engine.caller import Caller
from agio.engine.commands import ResumeRequest, Verdict
from agio.engine.continuing import ForkRequest
from agio.engine.starting import StartRequest
from tests.engine.world import Away, check_request, check_sequence, dump, read, types
from tests.model.plant import ModelIsGone, Plant, Process, Work
from tests.model.reference import RESTING, TERMINAL, Line, Ref, Refused

T = TypeVar("T")
ENDS = ("run_completed", "run_failed", "run_cancelled")
MOST_RUNS = 4
SESSIONS = 2
WORKERS = 2


@dataclass(eq=False)
class Twin:
    """A run and what it ought to be."""

    id: str
    session: int
    ref: Ref
    epoch: int = 0
    checkpoints: dict[str, list[str]] = field(default_factory=dict)
    """What the conversation was at each, when it was first seen."""

    @property
    def work(self) -> Work:
        assert self.ref.owner is not None
        return (self.ref.owner, self.id, self.epoch)


class Moves:
    """A small installation and its reference."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.caller = Caller("ann", f"group-{new_id()}")
        self.twins: list[Twin] = []
        self.current: dict[int, Line] = {}
        """Where each session stands."""
        self.lost: set[str] = set()
        """Workers whose lease ran out though they live."""
        self.draining: set[str] = set()
        self.shadows: dict[Work, Twin] = {}
        """Works on runs that were taken over from them."""
        plant.requests.clear()

    async def begin(self) -> None:
        for process in list(self.plant.processes.values()):
            await self.plant.crash(process)
        await self._staff()

    async def _staff(self) -> None:
        while len(self.plant.processes) < WORKERS:
            await self.plant.add_process()

    # -- picking

    @staticmethod
    def _pick(number: int, among: Sequence[T]) -> T | None:
        return among[number % len(among)] if among else None

    def _twin(self, number: int, fits: Callable[[Ref], bool] = lambda ref: True) -> Twin | None:
        return self._pick(number, [twin for twin in self.twins if fits(twin.ref)])

    def any(self, fits: Callable[[Ref], bool]) -> bool:
        """Say whether there is such a run."""
        return any(fits(twin.ref) for twin in self.twins)

    def _process(self, number: int) -> Process:
        return list(self.plant.processes.values())[number % len(self.plant.processes)]

    def _busy_process(self, number: int) -> Process:
        """Return one that owns runs, if there is any."""
        busy = [process for process in self.plant.processes.values() if process.engine.worker.run_count]
        return self._pick(number, busy) or self._process(number)

    def _live(self, number: int) -> Twin | None:
        """Return a run that has not ended; one that has, now and then: commands must be refused too."""
        live = [twin for twin in self.twins if twin.ref.status not in TERMINAL]
        return self._pick(number, live if number else self.twins)

    async def _both(self, real: Callable[[], Awaitable[Any]], ought: Callable[[], None]) -> bool:
        """Do it in both worlds: they refuse it alike. Returns whether it was done."""
        try:
            ought()
        except Refused:
            try:
                await real()
            except Conflict:
                return False
            raise AssertionError("it was to be refused") from None
        await real()
        return True

    # -- moves: clients

    async def start(self, plan: str, session: int) -> None:
        if len(self.twins) >= MOST_RUNS:
            return
        session %= SESSIONS
        request = StartRequest(agent_id="a1", message=plan, session_id=f"s{session}")
        run = await self.plant.desk.starting.start(self.caller, request)
        self._add(run, session, Ref(plan), self.current.setdefault(session, Line()))
        await self.agree()

    def _add(self, run: Run, session: int, ref: Ref, line: Line) -> None:
        line.join(ref)
        self.twins.append(Twin(run.id, session, ref))

    async def pause(self, number: int, mode: Literal["safe", "now"]) -> None:
        if twin := self._live(number):
            commands, ref = self.plant.desk.commands, twin.ref
            await self._both(lambda: commands.pause(self.caller, twin.id, mode=mode), lambda: ref.ask_pause(mode))
            await self.agree()

    async def cancel(self, number: int) -> None:
        if twin := self._live(number):
            await self._cancel(twin)

    async def _cancel(self, twin: Twin) -> None:
        commands = self.plant.desk.commands
        await self._both(lambda: commands.cancel(self.caller, twin.id), twin.ref.ask_cancel)
        await self.agree()

    async def resume(self, number: int, words: str | None, answer: str | None) -> None:
        if twin := self._live(number):
            await self._resume(twin, words, answer)

    async def _resume(self, twin: Twin, words: str | None, answer: str | None) -> None:
        ref, commands = twin.ref, self.plant.desk.commands
        answered = answer if ref.call == "unknown" and ref.status in RESTING else None
        call_id = await self._open_call(twin) if answered else ""
        request = ResumeRequest(
            message=words,
            tool_results={call_id: "given"} if answered == "given" else {},
            retry_tools=(call_id,) if answered == "again" else (),
        )
        await self._both(
            lambda: commands.resume(self.caller, twin.id, request), lambda: ref.ask_resume(words, answered)
        )
        await self.agree()

    async def decide(self, number: int, approve: bool) -> None:
        if twin := self._twin(number, lambda ref: ref.approval is not None):
            await self._decide(twin, approve)

    async def _decide(self, twin: Twin, approve: bool) -> None:
        commands = self.plant.desk.commands
        verdict = Verdict(approval_id=(await self._approval(twin)).id, decision="approve" if approve else "reject")
        await self._both(lambda: commands.decide(self.caller, verdict), lambda: twin.ref.decide(approve))
        await self.agree()

    async def go_on(self, number: int, place: int, query: str | None, kind: Literal["fork", "restore"]) -> None:
        """Begin a new run at a checkpoint; the source stays as it is."""
        twin = self._twin(number)
        if twin is None or len(self.twins) >= MOST_RUNS or not twin.checkpoints:
            return
        request = _request(twin, place, query, kind)
        before = await dump(self.plant.desk, twin.id, self.caller.group_id)
        run = await self.plant.desk.continuing.branch_off(self.caller, request)
        assert await dump(self.plant.desk, twin.id, self.caller.group_id) | {"session": ""} == before | {"session": ""}
        line = Line(_kept(twin.checkpoints[request.checkpoint_id], query))
        self._add(run, twin.session, Ref(query), line)
        if kind == "restore":
            self.current[twin.session] = line
        await self.agree()

    async def rewind(self, number: int, place: int, query: str | None) -> None:
        """Begin a new attempt of a run at one of its checkpoints."""
        twin = self._twin(number)
        if twin is None or not twin.checkpoints:
            return
        ref, request = twin.ref, _request(twin, place, query, "restore")
        line = Line(_kept(twin.checkpoints[request.checkpoint_id], query))
        continuing = self.plant.desk.continuing
        if await self._both(lambda: continuing.rewind(self.caller, request), lambda: ref.rewind(line, query)):
            self.current[twin.session] = line
        await self.agree()

    async def retry(self, number: int) -> None:
        if twin := self._twin(number):
            ref, line, continuing = twin.ref, twin.ref.line, self.plant.desk.continuing
            done = await self._both(lambda: continuing.retry(self.caller, twin.id), ref.retry)
            if done and self.current[twin.session] is line:
                self.current[twin.session] = ref.line
            await self.agree()

    # -- moves: workers

    async def work(self, number: int, gates: int) -> None:
        """Let somebody go on with a run, past so many gates."""

        def is_workable(ref: Ref) -> bool:
            return ref.gate is not None or ref.is_ready or ref.owner is not None

        twin = self._twin(number, is_workable)
        for _ in range(gates + 1 if twin is not None else 0):
            assert twin is not None
            if twin.ref.gate is not None:
                await self._advance(twin)
            elif twin.ref.owner is not None:
                await self.take_over(number)
            elif twin.ref.is_ready:
                await self.claim(number)
            else:
                return

    async def rob(self, number: int, awake: bool = False) -> None:
        """A worker's lease runs out, and the other one takes its runs over; `awake`: it goes on all the same."""
        robbed = self._busy_process(number)
        await self.plant.store.retire(robbed.id)
        self.lost.add(robbed.id)
        for place, process in enumerate(list(self.plant.processes.values())):
            if process is not robbed:
                await self.take_over(place)
        if awake:
            await self.wake(number)

    async def claim(self, number: int) -> None:
        process = self._process(number)
        if process.id in self.draining:
            return
        run = await self.plant.claim(process)
        ready = [twin for twin in self.twins if twin.ref.is_ready]
        if run is None:
            assert not ready, f"nobody takes {ready}"
            return
        twin = next(twin for twin in ready if twin.id == run.id)
        twin.ref.claim(process.id)
        twin.epoch = run.epoch
        await self.agree()

    async def take_over(self, number: int) -> None:
        """Let a process take over all that it may: which comes first nobody promises."""
        process = self._process(number)
        while process.id not in self.draining and await self._take_over(process):
            await self.agree()

    async def _take_over(self, process: Process) -> bool:
        run = await self.plant.take_over(process)
        living = self.plant.processes.keys() - self.lost | {process.id}
        left = [twin for twin in self.twins if twin.ref.owner is not None and twin.ref.owner not in living]
        if run is None:
            assert not left, f"nobody takes over {left}"
            return False
        twin = next((twin for twin in left if twin.id == run.id), None)
        assert twin is not None, f"{run} is not to be taken over"
        if twin.work in self.plant.works:
            self.shadows[twin.work] = twin
        twin.ref.crash()
        twin.ref.claim(process.id, abandoned=True)
        twin.epoch = run.epoch
        return True

    async def advance(self, number: int) -> None:
        """Let a run pass its gate."""
        if twin := self._twin(number, lambda ref: ref.gate is not None):
            await self._advance(twin)

    async def _advance(self, twin: Twin) -> None:
        self.plant.gates.open(twin.work)
        twin.ref.advance()
        await self.agree()

    async def advance_unheard(self, number: int, applied: bool) -> None:
        """The same while one append gets no answer."""
        if twin := self._twin(number, lambda ref: ref.gate is not None):
            process = self.plant.processes[twin.work[0]]
            self.plant.hook(process, Away(1, applied=applied))
            self.plant.gates.open(twin.work)
            twin.ref.advance()
            await self.agree()
            if process.id in self.plant.processes:
                self.plant.hook(process, None)

    async def fail(self, number: int) -> None:
        """The model cannot be asked any more."""
        if twin := self._twin(number, lambda ref: ref.gate in ("model", "stream")):
            self.plant.gates.open(twin.work, ModelIsGone())
            twin.ref.fail()
            await self.agree()

    async def crash(self, number: int, taken_over: bool = False) -> None:
        process = self._busy_process(number)
        await self.plant.crash(process)
        self._gone(process)
        await self.agree()
        if taken_over:
            await self.take_over(number)

    async def crash_advancing(self, number: int, applied: bool) -> None:
        """A worker dies when it writes what came of passing a gate, before or after."""
        if twin := self._twin(number, lambda ref: ref.gate is not None):
            process = self.plant.processes[twin.work[0]]
            gates, work = self.plant.gates, twin.work

            async def move() -> None:
                gates.open(work)

            before = deepcopy(twin.ref)
            await self.plant.crash_in_append(process, applied=applied, move=move)
            await self._adopt(twin, before, Ref.advance)
            self._gone(process)
            await self.agree()

    async def crash_claiming(self, number: int, applied: bool) -> None:
        """A worker dies when it writes the first entry of an ownership, before or after."""
        process = self._process(number)
        ready = [twin for twin in self.twins if twin.ref.is_ready]
        if process.id in self.draining or not ready:
            return
        claimed: list[Run | None] = []

        async def move() -> None:
            claimed.append(await self.plant.claim(process))

        await self.plant.crash_in_append(process, applied=applied, move=move)
        (run,) = claimed
        assert run is not None, f"nobody takes {ready}"
        twin = next(twin for twin in ready if twin.id == run.id)
        twin.epoch = run.epoch
        await self._adopt(twin, deepcopy(twin.ref), lambda ref: ref.claim(process.id))
        self._gone(process)
        await self.agree()

    async def drain(self, number: int, mode: Literal["safe", "now"]) -> None:
        process = self._busy_process(number)
        worker = process.engine.worker
        self.draining.add(process.id)
        for twin in self.twins:
            if twin.ref.owner == process.id and twin.id in worker._tokens:
                worker._tokens[twin.id].drain(now=mode == "now")
                twin.ref.drain(mode)
                await self.plant.settle()  # one after the other: they shall queue up in this order
        await self.agree()

    async def regain(self, number: int) -> None:
        """It beats again."""
        process = self._process(number)
        await self.plant.store.beat(process.id, {})
        self.lost.discard(process.id)

    async def wake(self, number: int) -> None:
        """Somebody goes on with a run that is not theirs any more."""
        shadows = [work for twin in self.twins for work, other in self.shadows.items() if other is twin]
        if (work := self._pick(number, shadows)) is not None:
            has_effect = self.plant.gates.at(work) == "before"
            self.shadows[work].ref.effects += has_effect
            self.plant.gates.open(work)
            await self.agree()
            assert (work in self.shadows) is has_effect, "it does not see that the run is not its own any more"

    def _gone(self, process: Process) -> None:
        self.lost.discard(process.id)
        self.draining.discard(process.id)
        for twin in self.twins:
            if twin.ref.owner == process.id:
                twin.ref.crash()

    # -- agreeing

    async def agree(self) -> None:
        """Let everything come to rest, and compare."""
        await self.plant.hear()
        await self.plant.settle()
        self.shadows = {work: twin for work, twin in self.shadows.items() if work in self.plant.works}
        for process in list(self.plant.processes.values()):
            if process.id in self.draining and not process.engine.worker._tokens:
                await self.plant.crash(process)
                self._gone(process)
        await self._staff()
        page = await self.plant.store.list_runs(self.caller.group_id, RunFilter(), limit=100)
        found = {run.id: run for run in page.items}
        assert found.keys() == {twin.id for twin in self.twins}
        for twin in self.twins:
            await self._compare(twin, found[twin.id])

    async def _compare(self, twin: Twin, run: Run) -> None:
        ref = twin.ref
        gate = self.plant.gates.at((run.owner, run.id, run.epoch)) if run.owner is not None else None
        found = (str(run.status), run.owner, gate, run.holds_branch, run.attempt, run.claims)
        ought = (ref.status, ref.owner, ref.gate, ref.holds, ref.attempt, ref.claims)
        assert found == ought, f"{found} is not {ought}, the line says {ref.said}"
        if run.last_checkpoint_id not in (None, *twin.checkpoints):
            await self._note_checkpoints(twin)

    async def _record(self, twin: Twin) -> Run:
        return await self.plant.store.get_run(self.caller.group_id, twin.id)

    async def _note_checkpoints(self, twin: Twin) -> None:
        page = await self.plant.store.list_checkpoints(self.caller.group_id, twin.id)
        for one in page.items:
            if one.id not in twin.checkpoints:
                twin.checkpoints[one.id] = await self._said(one.branch_id, one.position)
        if page.items[-1].attempt == twin.ref.attempt:
            found = twin.checkpoints[page.items[-1].id]
            assert found == twin.ref.mark, f"{found} is not {twin.ref.mark}"

    async def _said(self, branch_id: str, end: int | None = None) -> list[str]:
        messages = await self.plant.store.read_messages(self.caller.group_id, branch_id, end=end)
        return [_word(message) for message in messages]

    async def _adopt(self, twin: Twin, before: Ref, move: Callable[[Ref], None]) -> None:
        """Take over from the store how far a move came that was cut off; it is somewhere on its way."""
        after = deepcopy(before)
        move(after)
        run = await self._record(twin)
        said = await self._said(run.branch_id)
        assert said[: len(before.said)] == before.said
        assert after.said[: len(said)] == said
        assert run.status in ("running", after.status)
        ref = twin.ref
        if run.status != "running":
            move(ref)
            return
        if ref in ref.line.waiting:
            ref.line.waiting.remove(ref)
        ref.status, ref.owner, ref.claims, ref.draining = "running", run.owner, run.claims, None
        new = said[len(before.said) :]
        last = await self.plant.store.last_checkpoint(self.caller.group_id, twin.id)
        if last is not None and last.attempt == ref.attempt:
            ref.begun, ref.mark = True, await self._said(last.branch_id, last.position)
        asked = sum(word.startswith("u:") for word in new)
        asked -= ref.begun and not before.begun and ref.question is not None
        ref.words = ref.words[asked:]
        ref.said[:] = said
        ref.effects = after.effects
        if not ref.open_call:
            ref.call = ref.approval = None
            ref.given = ref.again = False
        else:
            await self._adopt_call(twin)

    async def _adopt_call(self, twin: Twin) -> None:
        ref, call_id = twin.ref, await self._open_call(twin)
        known: Any = None
        events = [each for each in await self._events_of_attempt(twin) if each.get("tool_call_id") == call_id]
        for event in events:
            if event["type"] == "tool_call_started":
                known = "started"
            elif event["type"] == "tool_call_failed":
                known = "unknown" if event["error"]["code"] == "outcome_unknown" else None
        if known == "started":
            ref.again = False
        ref.call = known
        if ref.open_call == "ask" and any(event["type"] == "approval_required" for event in events):
            status: Any = (await self._approval(twin)).status
            ref.approval = status

    async def _events(self, twin: Twin) -> list[dict[str, Any]]:
        return await read(self.plant.desk, twin.id, follow=False, caller=self.caller)

    async def _events_of_attempt(self, twin: Twin) -> list[dict[str, Any]]:
        """Return the events of the present attempt: another one may have calls of the same ids."""
        entries = await self.plant.store.read_entries(self.caller.group_id, twin.id, limit=10_000)
        return [event for entry in entries if entry.attempt == twin.ref.attempt for event in wire_events(entry)]

    async def _open_call(self, twin: Twin) -> str:
        run = await self._record(twin)
        messages = await self.plant.store.read_messages(self.caller.group_id, run.branch_id)
        return messages[-1].tool_calls[0].id

    async def _approval(self, twin: Twin) -> Approval:
        call_id = await self._open_call(twin)
        page = await self.plant.store.list_approvals(self.caller.group_id, run_id=twin.id, limit=500)
        return next(one for one in page.items if one.tool_call_id == call_id)

    # -- the end

    async def finish(self) -> None:
        """Let every run come to its end, and look at what is left of all."""
        for _ in range(400):
            live = [twin for twin in self.twins if twin.ref.status not in TERMINAL]
            if not live:
                break
            for twin in live:
                await self._help(twin)
        for twin in self.twins:
            assert twin.ref.status in TERMINAL, f"{twin} does not come to its end"
            await self._check_history(twin)
        for request in self.plant.requests:
            check_request(request)

    async def _help(self, twin: Twin) -> None:
        """Do what the run waits for."""
        ref = twin.ref
        if ref.gate is not None:
            await self._advance(twin)
        elif ref.owner is not None:
            for number in range(WORKERS):
                await self.take_over(number)
        elif ref.is_ready:
            for number in range(WORKERS):
                await self.claim(number)
        elif ref.status in RESTING and self.twins.index(twin) % 2:
            await self._cancel(twin)
        elif ref.status in RESTING:
            if ref.approval == "pending":
                await self._decide(twin, True)
            if ref.status in RESTING:
                await self._resume(twin, None, "again")

    async def _check_history(self, twin: Twin) -> None:
        ref, events = twin.ref, await self._events(twin)
        check_sequence(events)
        assert [kind for kind in types(events) if kind in ENDS][-1:] == types(events)[-1:] == [f"run_{ref.status}"]
        assert sum(kind in ENDS for kind in types(events)) == ref.ends
        run = await self._record(twin)
        assert (run.last_seq, run.pause, run.cancel is None or ref.status == "cancelled") == (len(events), None, True)
        assert await self._said(run.branch_id, await self._end_of(run)) == ref.said[: await self._end_of(run)]
        for checkpoint_id, said in twin.checkpoints.items():
            found = await self.plant.store.get_checkpoint(self.caller.group_id, checkpoint_id)
            assert await self._said(found.branch_id, found.position) == said
        done = [count for key, count in self.plant.effects.items() if key.startswith(f"{twin.id}:")]
        assert sum(done) == ref.effects

    async def _end_of(self, run: Run) -> int:
        return await self.plant.store.branch_end(self.caller.group_id, run.branch_id)


def _request(twin: Twin, place: int, query: str | None, kind: Literal["fork", "restore"]) -> ForkRequest:
    checkpoint_id = list(twin.checkpoints)[place % len(twin.checkpoints)]
    modifications = {"modified_query": query} if query is not None else {}
    return ForkRequest(checkpoint_id=checkpoint_id, modifications=modifications, kind=kind)


def _kept(said: list[str], query: str | None) -> list[str]:
    """Return what of a conversation stays when something goes on from there."""
    if query is not None:
        asked = [n for n, word in enumerate(said) if word.startswith("u:")]
        return said[: asked[-1]] if asked else list(said)
    return said[:-1] if said[-1] in ("a.", "a~") else list(said)


def _word(message: Message) -> str:
    """Return the reference's word for a message."""
    match message.role:
        case "user":
            return f"u:{message.content}"
        case "assistant":
            if message.tool_calls:
                return f"a:{message.tool_calls[0].name}"
            return "a~" if message.incomplete else "a."
    if message.error is not None:
        return f"t:{message.error.removeprefix('tool_')}"
    return f"t:{message.content}"
