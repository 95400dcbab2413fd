"""A2A's parts, messages and tasks from ours, and back. Pure.

A task's one artifact is its answer, chunked while it is made. What the model says before it calls a tool is replaced
by what it says after.
"""

import base64
import json
from collections.abc import Iterable, Iterator
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
from agio.domain.journal import Entry, unfold
from agio.domain.runs import Run
from agio.domain.status import RunStatus

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
OVER = frozenset({TaskState.TASK_STATE_COMPLETED, TaskState.TASK_STATE_FAILED, TaskState.TASK_STATE_CANCELED})
NEEDS_ATTENTION = "nobody knows whether a tool call took effect; say how to go on"
APPROVED = frozenset({"yes", "y", "ok", "okay", "approve", "approved", "go", "go ahead"})


# -- what comes in


def content_of(message: Message) -> ours.Content:
    """Return a message's parts as our content: a text where there is nothing else.

    Raises:
        Invalid: a part says nothing.
    """
    parts = [_content_part(part) for part in message.parts]
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return parts


def _content_part(part: Part) -> dict[str, Any]:
    kind = part.WhichOneof("content")
    if kind == "text":
        return {"type": "text", "text": part.text}
    if kind == "data":
        return {"type": "text", "text": _json_text(part.data)}
    if kind is None:
        raise Invalid("a part holds a text, data, or a file as raw bytes or url", field="message.parts")
    media_type = part.media_type or "application/octet-stream"
    url = part.url or f"data:{media_type};base64,{base64.b64encode(part.raw).decode()}"
    if media_type.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    if kind == "url":
        return {"type": "text", "text": f"[file {part.filename or ''} {media_type}] {part.url}"}
    return {"type": "file", "file": {"filename": part.filename or "file", "file_data": url}}


def _json_text(value: Value) -> str:
    return json.dumps(MessageToDict(value), ensure_ascii=False)


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


def parts_of(content: ours.Content) -> list[Part]:
    """Return our content as parts."""
    if isinstance(content, str):
        return [Part(text=content)]
    return [_part(one) for one in content]


def _part(one: dict[str, Any]) -> Part:
    match one:
        case {"type": "text", "text": str(text)}:
            return Part(text=text)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return _file(url, "")
        case {"type": "file", "file": {"file_data": str(url), **about}}:
            return _file(url, str(about.get("filename", "")))
    return Part(data=ParseDict(one, Value()))


def _file(url: str, name: str) -> Part:
    head, _, encoded = url.partition(";base64,")
    if url.startswith("data:") and encoded:
        return Part(raw=base64.b64decode(encoded), media_type=head.removeprefix("data:"), filename=name)
    return Part(url=url, filename=name)


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

    def task(self) -> Task:
        """Return the task as it is now."""
        text = "".join(self.answer)
        artifacts = [Artifact(artifact_id=ANSWER, name=ANSWER, parts=[Part(text=text)])] if text else []
        return Task(
            id=self.run.id,
            context_id=self.run.session_id,
            status=self._status(),
            artifacts=artifacts,
            history=self.history,
            metadata=struct({"agio": {"agentId": self.run.agent_id, "seq": self.seq}}),
        )

    def take(self, entry: Entry) -> list[Update]:
        """Take note of an entry; return what a reader is told of it."""
        self._remember(entry.messages)
        told = [update for seq, event in unfold(entry) for update in self._hear(seq, event, entry)]
        self.seq = entry.last_seq
        return told

    def _remember(self, messages: Iterable[ours.Message]) -> None:
        for one in messages:
            if one.role in ("user", "assistant") and one.content:
                role = Role.ROLE_USER if one.role == "user" else Role.ROLE_AGENT
                self.history.append(self._message(one.id, role, parts_of(one.content)))

    def _message(self, message_id: str, role: Role, parts: list[Part]) -> Message:
        task_id, context_id = self.run.id, self.run.session_id
        return Message(message_id=message_id, role=role, parts=parts, task_id=task_id, context_id=context_id)

    def _hear(self, seq: int, event: ev.Event, entry: Entry) -> Iterator[Update]:
        match event:
            case ev.Deltas(of="content"):
                yield self._show(event.message_id, "".join(event.contents))
            case ev.ContentReset() if event.message_id == self.shown:
                yield self._replace("")
            case ev.MessageCompleted(role="assistant") if event.content and event.message_id != self.shown:
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
        if isinstance(event, ev.RunRestored) and self.answer:
            yield self._replace("")
        if self.state != TaskState.TASK_STATE_WORKING:
            yield self._become(TaskState.TASK_STATE_WORKING, at)

    def _rest_or_end(self, seq: int, event: ev.Event, at: datetime) -> Iterator[Update]:
        match event:
            case ev.RunWaiting():
                yield self._become(TaskState.TASK_STATE_INPUT_REQUIRED, at, self._question(seq))
            case ev.RunInterrupted():
                text = Part(text="its workers kept dying; a person must look at it")
                yield self._become(TaskState.TASK_STATE_FAILED, at, self._said(seq, [text]))
            case ev.RunCompleted():
                if event.response and event.response != "".join(self.answer):
                    yield self._replace(event.response)
                if self.answer:
                    yield self._artifact("", append=True, last=True)
                yield self._become(TaskState.TASK_STATE_COMPLETED, at)
            case ev.RunFailed():
                text = Part(text=str(event.error.get("message", "the run failed")))
                about = Part(data=ParseDict({"error": {"code": event.error.get("code")}}, Value()))
                yield self._become(TaskState.TASK_STATE_FAILED, at, self._said(seq, [text, about]))
            case ev.RunCancelled():
                text = Part(text=f"cancelled by {event.by}")
                yield self._become(TaskState.TASK_STATE_CANCELED, at, self._said(seq, [text]))

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

    def _artifact(self, text: str, *, append: bool, last: bool = False) -> TaskArtifactUpdateEvent:
        return TaskArtifactUpdateEvent(
            task_id=self.run.id,
            context_id=self.run.session_id,
            artifact=Artifact(artifact_id=ANSWER, name=ANSWER, parts=[Part(text=text)]),
            append=append,
            last_chunk=last,
        )


def listed(run: Run) -> Task:
    """Return what a list shows of a task: its record."""
    status = TaskStatus(state=STATES[run.status], timestamp=stamp(run.updated_at))
    return Task(id=run.id, context_id=run.session_id, status=status)
