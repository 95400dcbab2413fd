"""A2A's parts, messages and tasks from ours, and back. Pure.

What is said is one artifact, the answer, chunked while it is made: what a model says before it calls a tool is replaced
by what it says after. Agents written in Python make further ones.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from a2a.types.a2a_pb2 import (
    Artifact,
    Message,
    Part,
    Role,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from agio.domain import events as ev
from agio.domain import messages as ours
from agio.domain.errors import Invalid
from agio.domain.ids import split_checkpoint_id
from agio.domain.journal import Entry, unfold
from agio.domain.parts import Part as OurPart
from agio.domain.parts import content_of as show_model
from agio.domain.parts import load_part, parts_of
from agio.domain.runs import Run
from agio.domain.status import RunStatus, StopReason

Update: TypeAlias = TaskStatusUpdateEvent | TaskArtifactUpdateEvent

ANSWER = "answer"
"""Id and name of the artifact."""
STATES = {
    RunStatus.QUEUED: TaskState.TASK_STATE_SUBMITTED,
    RunStatus.RUNNING: TaskState.TASK_STATE_WORKING,
    RunStatus.PAUSED: TaskState.TASK_STATE_WORKING,
    RunStatus.WAITING: TaskState.TASK_STATE_INPUT_REQUIRED,
    RunStatus.INTERRUPTED: TaskState.TASK_STATE_FAILED,
    RunStatus.COMPLETED: TaskState.TASK_STATE_COMPLETED,
    RunStatus.FAILED: TaskState.TASK_STATE_FAILED,
    RunStatus.CANCELLED: TaskState.TASK_STATE_CANCELED,
}
REJECTED = "rejected"
"""Code of the error of a run whose agent did not take the message on."""
NEEDS_ATTENTION = "nobody knows whether a tool call took effect; say how to go on"
APPROVED = frozenset({"yes", "y", "ok", "okay", "approve", "approved", "go", "go ahead"})


# -- what comes in


def content_of(message: Message) -> ours.Content:
    """Return a message's parts as our content: a text where there is nothing else.

    Raises:
        Invalid: a part says nothing.
    """
    return show_model([_ours(part) for part in message.parts])


def about(message: Message, *, whole: bool) -> dict[str, Any]:
    """Return what is kept with a message besides its content; `whole`: all that its agent may want to see."""
    told: dict[str, Any] = {"messageId": message.message_id}
    if message.reference_task_ids:
        told["referenceTaskIds"] = list(message.reference_task_ids)
    if not whole:
        return {"a2a": told}
    if message.extensions:
        told["extensions"] = list(message.extensions)
    told |= MessageToDict(message.metadata)
    return {"a2a": told, "parts": [_ours(part).stored() for part in message.parts]}


def _ours(part: Part) -> OurPart:
    kind = part.WhichOneof("content")
    if kind is None:
        raise Invalid("a part holds a text, data, or a file as raw bytes or url", field="message.parts")
    value: Any = MessageToDict(part.data) if kind == "data" else getattr(part, kind)
    if value is None:  # data may be null
        kind, value = "text", "null"
    more: dict[str, Any] = {
        "filename": part.filename,
        "media_type": part.media_type,
        "metadata": MessageToDict(part.metadata),
    }
    return OurPart(**{kind: value}, **more)


def data_of(message: Message) -> dict[str, Any]:
    """Return the members of all data parts that are objects."""
    found: dict[str, Any] = {}
    for part in message.parts:
        if part.WhichOneof("content") == "data":
            value: Any = MessageToDict(part.data)  # whatever its type says: what the value is
            found |= value if isinstance(value, dict) else {}
    return found


def text_in(message: Message) -> str:
    """Return the text parts, joined."""
    return "\n".join(part.text for part in message.parts if part.WhichOneof("content") == "text").strip()


# -- what goes out


def struct(value: dict[str, Any]) -> Struct:
    """Return an object as protobuf has it."""
    return ParseDict(value, Struct())


def stamp(at: datetime) -> Timestamp:
    """Return an instant as protobuf has it."""
    made = Timestamp()
    made.FromDatetime(at)
    return made


def theirs(part: OurPart) -> Part:
    """Return a part of ours as A2A has it."""
    made = Part(filename=part.filename, media_type=part.media_type)
    if part.metadata:
        made.metadata.CopyFrom(struct(part.metadata))
    if part.data is not None:
        made.data.CopyFrom(ParseDict(part.data, Value()))
    elif part.raw is not None:
        made.raw = part.raw
    elif part.url is not None:
        made.url = part.url
    else:
        made.text = part.text or ""
    return made


@dataclass(slots=True)
class _Made:
    """An artifact that an agent's Python code gives out, chunk by chunk."""

    artifact_id: str
    chunks: list[tuple[int, ev.ArtifactEmitted]] = field(default_factory=list)
    """With the sequence number of each."""

    def whole(self) -> Artifact:
        """Return it as it is now: nothing but an empty text, where all of it was taken back."""
        found = Artifact(artifact_id=self.artifact_id)
        for _, chunk in self.chunks:
            if not chunk.append:
                found = Artifact(artifact_id=self.artifact_id)
            _add_chunk(found, chunk)
        if not found.parts:
            found.parts.append(Part(text=""))
        return found

    def keep(self, wanted: Callable[[int, ev.ArtifactEmitted], bool]) -> bool:
        """Forget the other chunks; say whether there were any."""
        kept = [(seq, chunk) for seq, chunk in self.chunks if wanted(seq, chunk)]
        changed, self.chunks = len(kept) < len(self.chunks), kept
        return changed


def _add_chunk(artifact: Artifact, chunk: ev.ArtifactEmitted) -> None:
    artifact.parts.extend(theirs(load_part(one)) for one in chunk.parts)
    artifact.name = chunk.name or artifact.name
    artifact.description = chunk.description or artifact.description
    if chunk.metadata:
        artifact.metadata.CopyFrom(struct(chunk.metadata))


@dataclass(slots=True)
class Folded:
    """A task as its run's journal tells it, as far as that was read."""

    run: Run
    seq: int = 0
    """The last event that was taken."""
    state: TaskState = TaskState.TASK_STATE_SUBMITTED
    said: Message | None = None
    """With the status."""
    at: datetime | None = None
    history: list[Message] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)
    shown: str | None = None
    """Id of the message that the artifact shows."""
    asked: list[ev.ApprovalRequired] = field(default_factory=list)
    """Approvals that are waited for."""
    aside: dict[str, Message] = field(default_factory=dict)
    """What an agent said that is no answer: its questions, and its message in place of a task; by id."""
    last_aside: Message | None = None
    made: dict[str, _Made] = field(default_factory=dict)
    """Artifacts of an agent's Python code, by id."""

    def task(self) -> Task:
        """Return the task as it is now."""
        text = "".join(self.answer)
        artifacts = [Artifact(artifact_id=ANSWER, name=ANSWER, parts=[Part(text=text)])] if text else []
        artifacts += [one.whole() for one in self.made.values() if one.chunks]
        return Task(
            id=self.run.id,
            context_id=self.run.session_id,
            status=self._status(),
            artifacts=artifacts,
            history=self.history,
            metadata=struct({"agio": {"agentId": self.run.agent_id, "seq": self.seq}}),
        )

    def message(self) -> Message | None:
        """Return the message that answers in place of a task; None: the task is the answer."""
        if self.last_aside is None or self.state != TaskState.TASK_STATE_COMPLETED or self.answer or self.made:
            return None
        alone = Message()
        alone.CopyFrom(self.last_aside)
        alone.ClearField("task_id")
        return alone

    def take(self, entry: Entry) -> list[Update]:
        """Take note of an entry; return what a reader is told of it."""
        self._remember(entry.messages)
        told = [update for seq, event in unfold(entry) for update in self._hear(seq, event, entry)]
        self.seq = entry.last_seq
        return told

    def _remember(self, messages: Iterable[ours.Message]) -> None:
        for one in messages:
            kept = one.metadata.get("a2a", {})
            if one.role not in ("user", "assistant") or not (one.content or "parts" in one.metadata):
                continue
            role = Role.ROLE_USER if one.role == "user" else Role.ROLE_AGENT
            said = self._message(kept.get("messageId", one.id), role, [theirs(part) for part in parts_of(one)])
            self.history.append(said)
            self.last_aside = said if "kind" in one.metadata else None
            if self.last_aside is not None:
                self.aside[one.id] = said

    def _message(self, message_id: str, role: Role, parts: list[Part]) -> Message:
        task_id, context_id = self.run.id, self.run.session_id
        return Message(message_id=message_id, role=role, parts=parts, task_id=task_id, context_id=context_id)

    def _hear(self, seq: int, event: ev.Event, entry: Entry) -> Iterator[Update]:
        match event:
            case ev.Deltas(of="content"):
                yield self._show(event.message_id, "".join(event.contents))
            case ev.ContentReset():
                yield from self._reset(event.message_id)
            case ev.ArtifactEmitted():
                yield self._chunk(seq, event)
            case ev.MessageCompleted(role="assistant") if event.content and event.message_id not in self._told:
                yield self._show(event.message_id, ours.text_of(event.content))
            case ev.StepStarted() | ev.RunResumed() | ev.RunRecovered() | ev.RunRestored():
                yield from self._work(event, entry.at)
            case ev.ApprovalRequired():
                self.asked.append(event)
            case ev.ApprovalResolved():
                self.asked = [one for one in self.asked if one.approval_id != event.approval_id]
            case _:
                yield from self._rest_or_end(seq, event, entry.at)

    def _work(self, event: ev.Event, at: datetime) -> Iterator[Update]:
        if isinstance(event, ev.RunRestored):
            yield from self._restore(event.from_checkpoint_id)
        if self.state != TaskState.TASK_STATE_WORKING:
            yield self._become(TaskState.TASK_STATE_WORKING, at)

    def _rest_or_end(self, seq: int, event: ev.Event, at: datetime) -> Iterator[Update]:
        match event:
            case ev.RunWaiting(reason=StopReason.CHILDREN):
                return
            case ev.RunWaiting(reason=StopReason.INPUT) if self.last_aside is not None:
                yield self._become(TaskState.TASK_STATE_INPUT_REQUIRED, at, self.last_aside)
            case ev.RunWaiting():
                yield self._become(TaskState.TASK_STATE_INPUT_REQUIRED, at, self._question(seq))
            case ev.RunInterrupted():
                text = Part(text="its workers kept dying; a person must look at it")
                yield self._become(TaskState.TASK_STATE_FAILED, at, self._said(seq, [text]))
            case ev.RunCompleted():
                yield from self._complete(event, at)
            case ev.RunFailed():
                yield self._fail(seq, event, at)
            case ev.RunCancelled():
                text = Part(text=f"cancelled by {event.by}")
                yield self._become(TaskState.TASK_STATE_CANCELED, at, self._said(seq, [text]))

    def _complete(self, event: ev.RunCompleted, at: datetime) -> Iterator[Update]:
        if event.response and event.response != "".join(self.answer) and self.last_aside is None:
            yield self._replace(event.response)
        if self.answer:
            yield self._artifact("", append=True, last=True)
        yield self._become(TaskState.TASK_STATE_COMPLETED, at, self.last_aside)

    def _fail(self, seq: int, event: ev.RunFailed, at: datetime) -> TaskStatusUpdateEvent:
        text, code = Part(text=str(event.error.get("message", "the run failed"))), event.error.get("code")
        if code == REJECTED:
            return self._become(TaskState.TASK_STATE_REJECTED, at, self._said(seq, [text]))
        details = Part(data=ParseDict({"error": {"code": code}}, Value()))
        return self._become(TaskState.TASK_STATE_FAILED, at, self._said(seq, [text, details]))

    def _question(self, seq: int) -> Message:
        if not self.asked:
            return self._said(seq, [Part(text=NEEDS_ATTENTION)])
        parts = []
        for one in self.asked:
            parts.append(Part(text=f"{one.reason}. Approve or reject the call."))
            asked = {"approval_id": one.approval_id, "tool": one.name, "arguments": one.arguments}
            parts.append(Part(data=ParseDict(asked, Value())))
        return self._said(seq, parts)

    def _said(self, seq: int, parts: list[Part]) -> Message:
        return self._message(f"{self.run.id}-{seq}", Role.ROLE_AGENT, parts)

    def _become(self, state: TaskState, at: datetime, said: Message | None = None) -> TaskStatusUpdateEvent:
        self.state, self.at, self.said = state, at, said
        return TaskStatusUpdateEvent(task_id=self.run.id, context_id=self.run.session_id, status=self._status())

    def _status(self) -> TaskStatus:
        return TaskStatus(state=self.state, message=self.said, timestamp=stamp(self.at or self.run.created_at))

    def _show(self, message_id: str, text: str) -> TaskArtifactUpdateEvent:
        """Append to what is shown of a message; another message takes the place of the one before."""
        if message_id != self.shown:
            self.shown = message_id
            return self._replace(text)
        self.answer.append(text)
        return self._artifact(text, append=len(self.answer) > 1)

    def _replace(self, text: str) -> TaskArtifactUpdateEvent:
        self.answer = [text]
        return self._artifact(text, append=False)

    @property
    def _told(self) -> set[str | None]:
        """Messages that are not to be shown as the answer once more, or at all."""
        return {self.shown, *self.aside}

    def _chunk(self, seq: int, event: ev.ArtifactEmitted) -> TaskArtifactUpdateEvent:
        made = self.made.setdefault(event.artifact_id, _Made(event.artifact_id))
        append = event.append and bool(made.chunks)
        made.chunks.append((seq, event))
        chunk = Artifact(artifact_id=event.artifact_id)
        _add_chunk(chunk, event)
        return self._updated(chunk, append=append, last=event.last)

    def _reset(self, message_id: str) -> Iterator[TaskArtifactUpdateEvent]:
        """Take back what was shown of a message."""
        if message_id == self.shown:
            yield self._replace("")
        yield from self._forget(lambda seq, chunk: chunk.message_id != message_id)

    def _restore(self, checkpoint_id: str | None) -> Iterator[TaskArtifactUpdateEvent]:
        """Take back what came behind the checkpoint of this run that a new attempt begins at."""
        if self.answer:
            yield self._replace("")
        place = split_checkpoint_id(checkpoint_id) if checkpoint_id else None
        kept = place[1] if place and place[0] == self.run.id else 0
        yield from self._forget(lambda seq, chunk: seq <= kept)

    def _forget(self, wanted: Callable[[int, ev.ArtifactEmitted], bool]) -> Iterator[TaskArtifactUpdateEvent]:
        for made in self.made.values():
            if made.keep(wanted):
                yield self._updated(made.whole(), append=False, last=False)

    def _artifact(self, text: str, *, append: bool, last: bool = False) -> TaskArtifactUpdateEvent:
        return self._updated(
            Artifact(artifact_id=ANSWER, name=ANSWER, parts=[Part(text=text)]), append=append, last=last
        )

    def _updated(self, artifact: Artifact, *, append: bool, last: bool) -> TaskArtifactUpdateEvent:
        return TaskArtifactUpdateEvent(
            task_id=self.run.id,
            context_id=self.run.session_id,
            artifact=artifact,
            append=append,
            last_chunk=last,
        )


def state_of(run: Run) -> TaskState:
    """Return the state that a run's record stands for."""
    if run.status is RunStatus.FAILED and run.reason == REJECTED:
        return TaskState.TASK_STATE_REJECTED
    if run.status is RunStatus.WAITING and run.reason == StopReason.CHILDREN:
        return TaskState.TASK_STATE_WORKING
    return STATES[run.status]


def listed(run: Run) -> Task:
    """Return what a list shows of a task: its record."""
    status = TaskStatus(state=state_of(run), timestamp=stamp(run.updated_at))
    return Task(id=run.id, context_id=run.session_id, status=status)
