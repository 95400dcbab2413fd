"""Hypothesis chooses the moves."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Literal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from agio.storage.port import Store
from tests.model.machine import MOST_RUNS, Moves
from tests.model.plant import Plant
from tests.model.reference import RESTING, TERMINAL

NUMBER = st.integers(0, 5)
PLAN = st.sampled_from(["act", "calc", "ask", "act,calc", "calc,act", "ask,calc", ""])
QUERY = st.none() | PLAN
GATES = st.integers(0, 9)
MODE = st.sampled_from(["safe", "now"])


class Field:
    """Where games are played: an event loop and a database, a fresh one after each game that was lost."""

    def __init__(self, runner: asyncio.Runner, open_store: Callable[[], Awaitable[Store]]) -> None:
        self._runner = runner
        self._open_store = open_store
        self._plant: Plant | None = None

    def run(self, move: Any) -> None:
        self._runner.run(move)

    def enter(self) -> Plant:
        if self._plant is None:
            self._plant = Plant(self._runner.run(self._open()))
        return self._plant

    async def _open(self) -> Store:
        store = await self._open_store()
        await store.open()
        return store

    def leave(self) -> None:
        """Close the database."""
        if self._plant is not None:
            self._runner.run(self._close(self._plant))
            self._plant = None

    @staticmethod
    async def _close(plant: Plant) -> None:
        for process in list(plant.processes.values()):
            await plant.crash(process)
        await plant.store.close()


class Game(RuleBasedStateMachine):
    """One installation from its first run to its end."""

    field: ClassVar[Field]
    ended: ClassVar[Callable[[int], None]]
    """Called with the number of moves of a game that was won."""

    def __init__(self) -> None:
        super().__init__()
        self.moves = Moves(self.field.enter())
        self.count = 0
        self.failed = False
        self.field.run(self.moves.begin())

    def _make(self, move: Any) -> None:
        self.count += 1
        try:
            self.field.run(move)
        except BaseException:
            self.failed = True
            raise

    def teardown(self) -> None:
        try:
            if not self.failed:
                self._make(self.moves.finish())
                type(self).ended(self.count)
        finally:
            if self.failed:
                self.field.leave()

    @initialize(plan=PLAN, gates=GATES)
    def first(self, plan: str, gates: int) -> None:
        self._make(self.moves.start(plan, 0))
        self._make(self.moves.work(0, gates))

    @precondition(lambda self: len(self.moves.twins) < MOST_RUNS)
    @rule(plan=PLAN, session=NUMBER)
    def start(self, plan: str, session: int) -> None:
        self._make(self.moves.start(plan, session))

    @rule(number=NUMBER, gates=GATES)
    def work(self, number: int, gates: int) -> None:
        self._make(self.moves.work(number, gates))

    @rule(number=NUMBER, gates=GATES)
    def work_on(self, number: int, gates: int) -> None:
        self._make(self.moves.work(number, gates))

    @precondition(lambda self: self.moves.any(lambda ref: ref.gate is not None))
    @rule(number=NUMBER, awake=st.booleans())
    def rob(self, number: int, awake: bool) -> None:
        self._make(self.moves.rob(number, awake))

    @precondition(lambda self: self.moves.any(lambda ref: ref.is_ready))
    @rule(number=NUMBER)
    def claim(self, number: int) -> None:
        self._make(self.moves.claim(number))

    @precondition(lambda self: self.moves.any(lambda ref: ref.gate is not None))
    @rule(number=NUMBER)
    def advance(self, number: int) -> None:
        self._make(self.moves.advance(number))

    @precondition(lambda self: self.moves.any(lambda ref: ref.gate is not None))
    @rule(number=NUMBER, applied=st.booleans())
    def advance_unheard(self, number: int, applied: bool) -> None:
        self._make(self.moves.advance_unheard(number, applied))

    @rule(number=NUMBER, mode=MODE)
    def pause(self, number: int, mode: Literal["safe", "now"]) -> None:
        self._make(self.moves.pause(number, mode))

    @precondition(lambda self: self.moves.any(lambda ref: ref.status in RESTING or ref.pause is not None))
    @rule(number=NUMBER, words=QUERY, answer=st.sampled_from([None, "given", "again"]))
    def resume(self, number: int, words: str | None, answer: str | None) -> None:
        self._make(self.moves.resume(number, words, answer))

    @rule(number=NUMBER)
    def cancel(self, number: int) -> None:
        self._make(self.moves.cancel(number))

    @precondition(lambda self: self.moves.any(lambda ref: ref.approval is not None))
    @rule(number=NUMBER, approve=st.booleans())
    def decide(self, number: int, approve: bool) -> None:
        self._make(self.moves.decide(number, approve))

    @precondition(lambda self: self.moves.any(lambda ref: ref.gate in ("model", "stream")))
    @rule(number=NUMBER)
    def fail(self, number: int) -> None:
        self._make(self.moves.fail(number))

    @precondition(lambda self: self.moves.any(lambda ref: ref.status in ("failed", "interrupted")))
    @rule(number=NUMBER)
    def retry(self, number: int) -> None:
        self._make(self.moves.retry(number))

    @precondition(lambda self: len(self.moves.twins) < MOST_RUNS)
    @rule(number=NUMBER, place=NUMBER, query=QUERY, kind=st.sampled_from(["fork", "restore"]))
    def go_on(self, number: int, place: int, query: str | None, kind: Literal["fork", "restore"]) -> None:
        self._make(self.moves.go_on(number, place, query, kind))

    @precondition(lambda self: self.moves.any(lambda ref: ref.status in (*TERMINAL, "interrupted")))
    @rule(number=NUMBER, place=NUMBER, query=QUERY)
    def rewind(self, number: int, place: int, query: str | None) -> None:
        self._make(self.moves.rewind(number, place, query))

    @precondition(lambda self: self.moves.any(lambda ref: ref.gate is not None))
    @rule(number=NUMBER, taken_over=st.booleans())
    def crash(self, number: int, taken_over: bool) -> None:
        self._make(self.moves.crash(number, taken_over))

    @precondition(lambda self: self.moves.any(lambda ref: ref.gate is not None))
    @rule(number=NUMBER, applied=st.booleans())
    def crash_advancing(self, number: int, applied: bool) -> None:
        self._make(self.moves.crash_advancing(number, applied))

    @precondition(lambda self: self.moves.any(lambda ref: ref.is_ready))
    @rule(number=NUMBER, applied=st.booleans())
    def crash_claiming(self, number: int, applied: bool) -> None:
        self._make(self.moves.crash_claiming(number, applied))

    @precondition(lambda self: self.moves.any(lambda ref: ref.owner is not None and ref.gate is None))
    @rule(number=NUMBER)
    def take_over(self, number: int) -> None:
        self._make(self.moves.take_over(number))

    @precondition(lambda self: self.moves.any(lambda ref: ref.gate is not None))
    @rule(number=NUMBER, mode=MODE)
    def drain(self, number: int, mode: Literal["safe", "now"]) -> None:
        self._make(self.moves.drain(number, mode))

    @precondition(lambda self: self.moves.lost)
    @rule(number=NUMBER)
    def regain(self, number: int) -> None:
        self._make(self.moves.regain(number))

    @precondition(lambda self: self.moves.shadows)
    @rule(number=NUMBER)
    def wake(self, number: int) -> None:
        self._make(self.moves.wake(number))


def games_on(field: Field, ended: Callable[[int], None] = lambda moves: None) -> type[Game]:
    """Return the machine that plays there."""
    return type("Game", (Game,), {"field": field, "ended": staticmethod(ended)})
