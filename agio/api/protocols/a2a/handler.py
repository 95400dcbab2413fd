"""What A2A's methods do: the sdk's request handler over our use cases. The sdk decodes, dispatches and encodes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, NoReturn

from a2a.server.context import ServerCallContext
from a2a.server.request_handlers.request_handler import RequestHandler
from a2a.types.a2a_pb2 import (
    AgentCard,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    ListTasksRequest,
    ListTasksResponse,
    Message,
    SendMessageRequest,
    SubscribeToTaskRequest,
    Task,
    TaskPushNotificationConfig,
    TaskState,
    TaskStatusUpdateEvent,
)
from a2a.utils.errors import (
    ContentTypeNotSupportedError,
    InvalidParamsError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a.utils.task import apply_history_length, validate_history_length, validate_page_size

from agio.api.protocols.a2a import convert, push
from agio.api.protocols.a2a.cards import takes
from agio.api.protocols.a2a.guarding import checked, guarded, guarded_stream
from agio.api.sse import by_itself
from agio.domain.errors import InvalidTransition, NotFound
from agio.domain.ids import is_session_id, new_id
from agio.domain.runs import Run, RunFilter
from agio.domain.status import RESTING, RunStatus
from agio.engine.caller import Caller
from agio.engine.commands import ResumeRequest, Verdict
from agio.engine.engine import Engine
from agio.engine.starting import StartRequest
from agio.engine.tail import Draining

CANCEL_S = 20.0
"""How long a cancel waits to take effect; then the task is answered as it is."""
PAGE = 50
DRAINING = "this server stops here; the task goes on, subscribe to it again"

Event = Task | Message | convert.Update


@dataclass(frozen=True, slots=True)
class Call:
    """For whom a method works."""

    engine: Engine
    caller: Caller
    agent_id: str
    card: AgentCard
    legacy: bool
    """The client speaks 0.3."""
    is_python: bool = False
    """The agent is a function: it may answer with a message in place of a task."""


class Handler(RequestHandler):
    """Serves every agent; the call context says which."""

    # -- messages

    @guarded
    async def on_message_send(self, params: SendMessageRequest, context: ServerCallContext) -> Task | Message:
        checked(params)
        validate_history_length(params.configuration)
        call = _call(context)
        run, after = await _accept(call, params)
        folded = await push.fold(call.engine, run, after) if after else convert.Folded(run)
        if not params.configuration.return_immediately:
            try:
                async with aclosing(_follow(call, folded, through_rests=False)) as updates:
                    async for _ in updates:
                        pass
            finally:
                await call.engine.leave(call.caller, run.id)
            if not after and (alone := folded.message()) is not None:
                return alone
        elif not after:
            folded = await push.fold(call.engine, run)
        return apply_history_length(folded.task(), params.configuration)

    @guarded_stream
    async def on_message_send_stream(
        self, params: SendMessageRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        checked(params)
        validate_history_length(params.configuration)
        call = _call(context)
        run, after = await _accept(call, params)
        folded = await push.fold(call.engine, run, after) if after else convert.Folded(run)
        held: list[Event] = [apply_history_length(folded.task(), params.configuration)]
        may_be_alone = call.is_python and not after
        async with aclosing(_follow(call, folded, through_rests=False)) as updates:
            if not may_be_alone:
                yield held.pop()
            async for update in updates:
                held.append(update)
                if may_be_alone and _says_nothing(update):
                    continue
                alone = folded.message() if may_be_alone else None
                may_be_alone = False
                for event in [alone] if alone is not None else held:
                    yield event
                held.clear()
        for event in held:
            yield event

    @guarded_stream
    async def on_subscribe_to_task(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event]:
        checked(params)
        call = _call(context)
        run = await _get_run(call, params.id)
        if run.is_terminal:
            raise UnsupportedOperationError(f"the task {run.id!r} is over: there is nothing to follow")
        folded = await push.fold(call.engine, run)
        yield folded.task()
        async with aclosing(_follow(call, folded, through_rests=True)) as updates:
            async for update in updates:
                yield update

    # -- tasks

    @guarded
    async def on_get_task(self, params: GetTaskRequest, context: ServerCallContext) -> Task:
        checked(params)
        validate_history_length(params)
        call = _call(context)
        task = await push.read_task(call.engine, await _get_run(call, params.id))
        return apply_history_length(task, params)

    @guarded
    async def on_list_tasks(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        checked(params)
        validate_history_length(params)
        if params.HasField("page_size"):
            validate_page_size(params.page_size)
        call, size = _call(context), params.page_size or PAGE
        where = RunFilter(
            agent_id=call.agent_id, session_id=params.context_id or None, statuses=_statuses(params.status)
        )
        page = await call.engine.store.list_runs(
            call.caller.group_id, where, limit=size, cursor=params.page_token or None
        )
        since = params.status_timestamp_after.ToMicroseconds() if params.HasField("status_timestamp_after") else None
        runs = [
            run
            for run in page.items
            if (since is None or run.updated_at.timestamp() * 1e6 >= since)
            and params.status in (TaskState.TASK_STATE_UNSPECIFIED, convert.state_of(run))
        ]
        runs.sort(key=lambda run: run.updated_at, reverse=True)
        return ListTasksResponse(
            tasks=[await _list_one(call, run, params) for run in runs],
            next_page_token=page.next_cursor or "",
            page_size=size,
            total_size=page.total,
        )

    @guarded
    async def on_cancel_task(self, params: CancelTaskRequest, context: ServerCallContext) -> Task:
        checked(params)
        call = _call(context)
        run = await _get_run(call, params.id)
        if run.is_terminal:
            raise TaskNotCancelableError(f"the task {run.id!r} is over: {run.status}")
        try:
            await call.engine.commands.cancel(call.caller, run.id)
        except InvalidTransition as error:
            raise TaskNotCancelableError(str(error)) from error
        folded = await push.fold(call.engine, run)
        try:
            async with asyncio.timeout(CANCEL_S), aclosing(_follow(call, folded, through_rests=True)) as updates:
                async for _ in updates:
                    pass
        except TimeoutError:
            pass
        if folded.state in (TaskState.TASK_STATE_COMPLETED, TaskState.TASK_STATE_FAILED):
            raise TaskNotCancelableError(f"the task {run.id!r} ended before it could be cancelled")
        return folded.task()

    # -- push notifications

    @guarded
    async def on_create_task_push_notification_config(
        self, params: TaskPushNotificationConfig, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        checked(params)
        call = _call(context)
        run = await _get_run(call, params.task_id)
        return await _attach(call, run.id, params)

    @guarded
    async def on_get_task_push_notification_config(
        self, params: GetTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        checked(params)
        call = _call(context)
        run = await _get_run(call, params.task_id)
        return push.config_of(await call.engine.webhooks.attached(call.caller, run.id, params.id or run.id))

    @guarded
    async def on_list_task_push_notification_configs(
        self, params: ListTaskPushNotificationConfigsRequest, context: ServerCallContext
    ) -> ListTaskPushNotificationConfigsResponse:
        checked(params)
        call = _call(context)
        run = await _get_run(call, params.task_id)
        found = await call.engine.webhooks.of_run(call.caller, run.id)
        return ListTaskPushNotificationConfigsResponse(configs=[push.config_of(one) for one in found])

    @guarded
    async def on_delete_task_push_notification_config(
        self, params: DeleteTaskPushNotificationConfigRequest, context: ServerCallContext
    ) -> None:
        checked(params)
        call = _call(context)
        run = await _get_run(call, params.task_id)
        try:
            webhook = await call.engine.webhooks.attached(call.caller, run.id, params.id)
        except NotFound:
            return  # whoever deletes it twice has what they want
        await call.engine.webhooks.delete(call.caller, webhook.id)

    @guarded
    async def on_get_extended_agent_card(
        self, params: GetExtendedAgentCardRequest, context: ServerCallContext
    ) -> AgentCard:
        return _call(context).card


def _call(context: ServerCallContext) -> Call:
    found: Call = context.state["agio"]
    return found


async def _get_run(call: Call, task_id: str) -> Run:
    """Return the run of a task of this agent's."""
    try:
        run = await call.engine.store.get_run(call.caller.group_id, task_id)
    except NotFound:
        run = None
    if run is None or run.agent_id != call.agent_id:
        raise TaskNotFoundError(f"there is no task {task_id!r}")
    return run


async def _accept(call: Call, params: SendMessageRequest) -> tuple[Run, int]:
    """Start a run, or go on with the one that the message names; return it, and what of it was there before."""
    message = params.message
    for part in message.parts:
        if not takes(call.card, part.media_type):
            raise ContentTypeNotSupportedError(f"the agent takes no {part.media_type!r}; its card says what it takes")
    if message.task_id:
        return await _go_on(call, params)
    if message.context_id and not is_session_id(message.context_id):
        raise InvalidParamsError("a contextId has 1 to 128 letters, digits and the characters _ - . : @ +")
    run_id = new_id()
    about = convert.about(message, whole=call.is_python)
    request = StartRequest(
        agent_id=call.agent_id,
        message=convert.content_of(message),
        session_id=message.context_id or None,
        run_id=run_id,
        metadata={"a2a": convert.about(message, whole=False)["a2a"]},
        message_metadata=about,
    )
    config = params.configuration
    attached = None
    if config.HasField("task_push_notification_config"):
        attached = await _attach(call, run_id, config.task_push_notification_config)
    try:
        return await call.engine.starting.start(call.caller, request), 0
    except Exception:
        if attached is not None:
            webhook = await call.engine.webhooks.attached(call.caller, run_id, attached.id)
            await call.engine.webhooks.delete(call.caller, webhook.id)
        raise


async def _go_on(call: Call, params: SendMessageRequest) -> tuple[Run, int]:
    """Let a task that rests hear a message: a decision on what it asks, or words."""
    message = params.message
    run = await _get_run(call, message.task_id)
    if message.context_id and message.context_id != run.session_id:
        raise InvalidParamsError(f"the task {run.id!r} is not of the context {message.context_id!r}")
    if run.is_terminal:
        raise UnsupportedOperationError(f"the task {run.id!r} is over; send a message to its context")
    if run.status not in RESTING:
        raise UnsupportedOperationError(f"the task {run.id!r} is at work; wait, cancel it, or write to its context")
    if params.configuration.HasField("task_push_notification_config"):
        await _attach(call, run.id, params.configuration.task_push_notification_config)
    after = await call.engine.store.head(run.group_id, run.id)
    verdicts = _verdicts(run, params)
    words = None if verdicts else convert.content_of(message)
    about = {} if words is None else convert.about(message, whole=call.is_python)
    request = ResumeRequest(verdicts=verdicts, message=words, message_metadata=about)
    await call.engine.commands.resume(call.caller, run.id, request)
    return run, after


def _verdicts(run: Run, params: SendMessageRequest) -> tuple[Verdict, ...]:
    """Read a message as decisions: data say which and how; a yes approves; other words reject, and are passed on."""
    if run.status is not RunStatus.WAITING or not run.pending_approvals:
        return ()
    data, text = convert.data_of(params.message), convert.text_in(params.message)
    said = str(data.get("decision", "")).lower()
    agrees = said in convert.APPROVED if said else text.lower().strip(" .!") in convert.APPROVED
    decision: Literal["approve", "reject"] = "approve" if agrees else "reject"
    note = str(data.get("note") or ("" if agrees else text)) or None
    arguments = data.get("arguments") if isinstance(data.get("arguments"), dict) else None
    named = data.get("approval_id")
    chosen = [one for one in run.pending_approvals if named in (None, one)]
    if not chosen:
        raise InvalidParamsError(f"the task waits for no approval {named!r}")
    return tuple(Verdict(approval_id=one, decision=decision, note=note, arguments=arguments) for one in chosen)


async def _attach(call: Call, run_id: str, config: TaskPushNotificationConfig) -> TaskPushNotificationConfig:
    fields = push.webhook_fields(config, legacy=call.legacy)
    return push.config_of(await call.engine.webhooks.attach(call.caller, run_id, config.id or run_id, **fields))


async def _follow(call: Call, folded: convert.Folded, *, through_rests: bool) -> AsyncGenerator[convert.Update]:
    """Yield what happens behind what was folded, until the task is over, or rests."""
    try:
        async with aclosing(call.engine.tail(call.caller, folded.run.id, after=folded.seq)) as items:
            async for item in items:
                if isinstance(item, Draining):
                    _refuse_to_wait()
                for update in folded.take(item.entry):
                    yield update
                if folded.state == TaskState.TASK_STATE_INPUT_REQUIRED and not through_rests:
                    return
    finally:
        by_itself(call.engine.leave(call.caller, folded.run.id))


def _says_nothing(update: convert.Update) -> bool:
    """Say whether an update shows nothing but that somebody works."""
    return isinstance(update, TaskStatusUpdateEvent) and update.status.state == TaskState.TASK_STATE_WORKING


def _refuse_to_wait() -> NoReturn:
    raise UnsupportedOperationError(DRAINING)


def _statuses(state: TaskState) -> frozenset[RunStatus] | None:
    """Return the run statuses that a state stands for; None: any."""
    if state == TaskState.TASK_STATE_UNSPECIFIED:
        return None
    if state == TaskState.TASK_STATE_REJECTED:
        return frozenset({RunStatus.FAILED})
    return frozenset(status for status, theirs in convert.STATES.items() if theirs == state)


async def _list_one(call: Call, run: Run, params: ListTasksRequest) -> Task:
    wants_history = params.HasField("history_length") and params.history_length > 0
    if not params.include_artifacts and not wants_history:
        return convert.listed(run)
    task = await push.read_task(call.engine, run)
    if not params.include_artifacts:
        task.ClearField("artifacts")
    if not wants_history:
        task.ClearField("history")
    return apply_history_length(task, params)
