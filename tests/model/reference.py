"""What Agio promises of a run's life, said as simply as possible: no journal, no store, no tasks.

A conversation is a list of words: `u:<plan>` a question, `a:<tool>` an answer that calls a tool, `a.` a last answer,
`a~` one that was cut off, and the tool messages `t:ok`, `t:given`, `t:rejected`, `t:cancelled`.
A plan names the tools that the model calls before its last answer: `calc` may be called twice, `act` may not, `ask`
needs an approval and may not.
"""

from dataclasses import dataclass, field
from typing import Literal

Gate = Literal["model", "stream", "before", "after"]
"""Where an owned run stands: the model is asked · has said something · the tool's effect is to come · is done."""

MAX_CLAIMS = 2
RESTING = ("paused", "waiting", "interrupted")
TERMINAL = ("completed", "failed", "cancelled")


class Refused(Exception):
    """The command is not for a run in this state."""


@dataclass(eq=False)
class Line:
    """A branch: its conversation, and the runs that stand in line for it."""

    said: list[str] = field(default_factory=list)
    holder: "Ref | None" = None
    waiting: list["Ref"] = field(default_factory=list)

    def join(self, run: "Ref") -> None:
        run.line = self
        if self.holder is None:
            self.holder = run
        else:
            self.waiting.append(run)

    def leave(self, run: "Ref") -> None:
        if self.holder is run:
            self.holder = self.waiting.pop(0) if self.waiting else None
        elif run in self.waiting:
            self.waiting.remove(run)


@dataclass(eq=False)
class Ref:
    """A run as it ought to be."""

    question: str | None
    line: Line = field(default_factory=Line)
    status: str = "queued"
    gate: Gate | None = None
    owner: str | None = None
    attempt: int = 1
    claims: int = 0
    """Take-overs without a checkpoint since."""
    begun: bool = False
    """This attempt's question is on the branch."""
    words: list[str] = field(default_factory=list)
    """Messages that came with commands and are not said yet."""
    pause: str | None = None
    cancel: bool = False
    handed_over: bool = False
    call: Literal["started", "unknown"] | None = None
    """What is known of the open call besides that it was asked for."""
    approval: Literal["pending", "approved", "rejected"] | None = None
    given: bool = False
    """A person said what came of the open call."""
    again: bool = False
    """A person said that the open call may be made again."""
    draining: str | None = None
    """Its worker drains: `safe` or `now`."""
    effects: int = 0
    mark: list[str] | None = None
    """The conversation at the last checkpoint of this attempt."""
    ends: int = 0
    """How many attempts have ended."""

    # -- facts

    @property
    def said(self) -> list[str]:
        return self.line.said

    @property
    def open_call(self) -> str | None:
        return self.said[-1][2:] if self.said and self.said[-1].startswith("a:") else None

    @property
    def holds(self) -> bool:
        return self.line.holder is self

    @property
    def is_ready(self) -> bool:
        if self.owner is not None or self.status in TERMINAL:
            return False
        commanded = self.cancel or (self.pause is not None and self.status in ("queued", "waiting"))
        return commanded or (self.status == "queued" and self.holds)

    def next_call(self) -> str | None:
        """Return the tool that the model calls next, None when it answers."""
        asked = max(n for n, word in enumerate(self.said) if word.startswith("u:"))
        plan = [name for name in self.said[asked][2:].split(",") if name]
        made = sum(word.startswith("a:") for word in self.said[asked:])
        return plan[made] if made < len(plan) else None

    # -- commands

    def ask_pause(self, mode: str) -> None:
        if self.status in (*TERMINAL, "interrupted"):
            raise Refused
        if self.status == "paused" or self.pause == "now" or self.pause == mode:
            return
        self.pause = mode
        if self.gate is not None:
            self._heed()

    def ask_cancel(self) -> None:
        if self.status in ("completed", "failed"):
            raise Refused
        if self.status == "cancelled":
            return
        self.cancel = True
        if self.gate is not None:
            self._heed()

    def ask_resume(self, words: str | None, answer: str | None) -> None:
        if self.status in ("running", "queued") and self.pause is not None:
            self.pause = None
        elif self.status in RESTING and not self.cancel:
            self.pause = None
            self._queue()
        else:
            raise Refused
        if words is not None:
            self.words.append(words)
        self.given |= answer == "given"
        self.again |= answer == "again"

    def decide(self, approve: bool) -> None:
        wanted: Literal["approved", "rejected"] = "approved" if approve else "rejected"
        if self.approval not in ("pending", wanted):
            raise Refused
        self.approval = wanted
        if self.status == "waiting" and self.call is None:
            self._queue()

    def rewind(self, line: Line, query: str | None) -> None:
        """Begin a new attempt on a line that ends where it shall go on; the question is there, or comes in words."""
        if self.status not in (*TERMINAL, "interrupted"):
            raise Refused
        self.question, self.words = None, [query] if query is not None else []
        self._begin_attempt(line)

    def retry(self) -> None:
        """Begin a new attempt where the last one had come to."""
        if self.status not in ("failed", "interrupted"):
            raise Refused
        if self.mark is not None:
            self.question = None
        self._begin_attempt(Line(list(self.said if self.mark is None else self.mark)))

    def _begin_attempt(self, line: Line) -> None:
        self.line.leave(self)
        line.join(self)
        self.attempt += 1
        self.begun, self.mark = False, None
        self.pause, self.cancel = None, False
        self.call = self.approval = None
        self.given = self.again = False
        self._queue()

    def _queue(self) -> None:
        self.status, self.claims, self.handed_over = "queued", 0, False
        if not self.holds:
            self.line.waiting.append(self)
            if self.line.holder is None:
                self.line.holder = self.line.waiting.pop(0)

    # -- owners

    def claim(self, worker: str, *, abandoned: bool = False) -> None:
        self.owner, self.status, self.draining = worker, "running", None
        self.claims += abandoned
        if self in self.line.waiting:
            self.line.waiting.remove(self)
        if self.cancel:
            self._end("cancelled", closing=True)
        elif self.pause is not None:
            self._rest("paused")
        elif not self.holds:
            self._let_go("queued")
        elif self.claims > MAX_CLAIMS:
            self._rest("interrupted")
        else:
            self._begin()

    def drain(self, mode: str) -> None:
        self.draining = mode
        if mode == "now" and self.gate is not None:
            self._heed()

    def _begin(self) -> None:
        if not self.begun:
            self.begun = True
            if self.open_call is not None:  # of a run that went on elsewhere
                self.said.append("t:cancelled")
            if self.question is not None:
                self.said.append(f"u:{self.question}")
            self._say_words()
            self._check()
        self._go_on()

    def _go_on(self) -> None:
        """Pass the safe point, then come to the next gate or an end."""
        if self.cancel:
            self._end("cancelled", closing=True)
        elif self.pause is not None:
            self._rest("paused")
        elif self.draining is not None:
            self._hand_over()
        elif self.open_call is not None:
            self._act(self.open_call)
        else:
            if self.said[-1].startswith("t:") and self.said != self.mark:  # the step that a crash left open
                self._check()
            self._say_words()
            if self.said[-1] == "a.":
                self._end("completed")
            else:
                self.gate = "model"

    def _act(self, tool: str) -> None:
        if self.given:
            self._answer("t:given")
        elif self.call is not None and tool != "calc" and not self.again:
            self.call = "unknown"
            self._rest("waiting")
        elif tool == "ask" and self.approval in (None, "pending"):
            self.approval = "pending"
            self._rest("waiting")
        elif tool == "ask" and self.approval == "rejected":
            self._answer("t:rejected")
        else:
            self.call, self.again, self.gate = "started", False, "before"

    def _answer(self, word: str) -> None:
        self.said.append(word)
        self.call = self.approval = None
        self.given = self.again = False
        self._check()
        self._go_on()

    # -- time passes

    def advance(self) -> None:
        """What held the run at its gate lets go."""
        gate, self.gate = self.gate, None
        if gate == "model":
            self.gate = "stream"
        elif gate == "stream":
            tool = self.next_call()
            self.said.append("a." if tool is None else f"a:{tool}")
            if tool is None and (self.pause is None and not self.words):
                self._end("completed")
            else:
                if tool is None:
                    self._check()
                self._go_on()
        elif gate == "before":
            self.effects += 1
            self.gate = "after"
        elif gate == "after":
            self._answer("t:ok")

    def fail(self) -> None:
        """The model cannot be asked."""
        self.gate = None
        self._end("failed", closing=True)

    def crash(self) -> None:
        """Its worker dies: nobody knows yet."""
        self.gate = None

    def _heed(self) -> None:
        """A command came while the run stands at a gate: what does not wait for a safe point takes effect."""
        gate = self.gate
        if self.cancel:
            self.gate = None
            if gate == "stream":
                self.said.append("a~")
            self._end("cancelled", closing=True)
        elif self.pause == "now":
            self.gate = None
            self.call = "unknown" if self.call is not None else None
            self._rest("paused")
        elif self.draining == "now":
            self.gate = None
            self._hand_over()

    # -- letting go

    def _hand_over(self) -> None:
        self._let_go("queued")
        self.handed_over = True

    def _let_go(self, status: str) -> None:
        self.owner, self.status, self.draining = None, status, None
        if status == "queued" and not self.holds:
            self.line.waiting.append(self)
            if self.line.holder is None:
                self.line.holder = self.line.waiting.pop(0)

    def _rest(self, status: str) -> None:
        if status == "paused":
            self.pause = None
        self._let_go(status)

    def _end(self, status: str, *, closing: bool = False) -> None:
        if closing and self.begun:
            if self.open_call is not None:
                self.said.append("t:cancelled")
            self._say_words()
        if self.begun and self.said != self.mark:
            self._check()
        self.ends += 1
        self.call = self.approval = None
        self.given = self.again = self.cancel = False
        self.pause = None
        self.words.clear()
        self.gate = None
        self._let_go(status)
        self.line.leave(self)

    def _say_words(self) -> None:
        self.said.extend(f"u:{words}" for words in self.words)
        self.words.clear()

    def _check(self) -> None:
        """Make a checkpoint."""
        self.mark, self.claims = list(self.said), 0
