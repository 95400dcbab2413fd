"""A2A's push notifications are webhooks of one run that speak A2A."""

from collections.abc import Mapping
from contextlib import aclosing

from a2a.compat.v0_3.conversions import to_compat_task
from a2a.types.a2a_pb2 import AuthenticationInfo, StreamResponse, Task, TaskPushNotificationConfig
from google.protobuf.json_format import MessageToJson

from agio.api.protocols.a2a.convert import Folded
from agio.domain.errors import Invalid
from agio.domain.runs import Run
from agio.domain.webhooks import ENDINGS, Webhook
from agio.engine.caller import Caller
from agio.engine.dispatch import Compose, Ending
from agio.engine.engine import Engine
from agio.engine.tail import Draining

FORM, FORM_03 = "a2a", "a2a-0.3"
EVENTS = (*ENDINGS, "run_waiting", "run_interrupted")
TOKEN_HEADER = "X-A2A-Notification-Token"  # noqa: S105 - the name of a header


def webhook_fields(config: TaskPushNotificationConfig, *, legacy: bool) -> dict[str, object]:
    """Return a configuration as the fields of a webhook.

    Raises:
        Invalid: something cannot stand in a header.
    """
    headers: dict[str, str] = {}
    if config.token:
        headers[TOKEN_HEADER] = config.token
    if config.HasField("authentication") and config.authentication.scheme:
        headers["Authorization"] = f"{config.authentication.scheme} {config.authentication.credentials}".strip()
    if not all(text.isascii() and text.isprintable() for text in headers.values()):
        raise Invalid("a token and credentials are printable ASCII", field="token")
    form = FORM_03 if legacy else FORM
    return {"url": config.url, "secret": config.token or None, "headers": headers, "form": form, "events": EVENTS}


def config_of(webhook: Webhook) -> TaskPushNotificationConfig:
    """Return a webhook as the configuration that made it."""
    scheme, _, credentials = webhook.headers.get("Authorization", "").partition(" ")
    about = AuthenticationInfo(scheme=scheme, credentials=credentials) if scheme else None
    return TaskPushNotificationConfig(
        id=webhook.name,
        task_id=webhook.run_id or "",
        url=webhook.url,
        token=webhook.headers.get(TOKEN_HEADER, ""),
        authentication=about,
    )


def forms(engine: Engine) -> Mapping[str, Compose]:
    """Return what webhooks say, by the name of their form."""

    async def compose(webhook: Webhook, ending: Ending) -> str:
        return MessageToJson(StreamResponse(task=await read_task(engine, ending.run, ending.seq)), indent=None)

    async def compose_03(webhook: Webhook, ending: Ending) -> str:
        task = to_compat_task(await read_task(engine, ending.run, ending.seq))
        return task.model_dump_json(by_alias=True, exclude_none=True)

    return {FORM: compose, FORM_03: compose_03}


async def read_task(engine: Engine, run: Run, seq: int | None = None) -> Task:
    """Return the task as it was at an event; None: as far as its journal goes."""
    return (await fold(engine, run, seq)).task()


async def fold(engine: Engine, run: Run, seq: int | None = None) -> Folded:
    """Read a run's journal up to an event."""
    folded = Folded(run)
    caller = Caller(group_id=run.group_id)
    async with aclosing(engine.tail(caller, run.id, follow=False)) as items:
        async for item in items:
            if isinstance(item, Draining) or (seq is not None and item.entry.first_seq > seq):
                break
            folded.take(item.entry)
    return folded
