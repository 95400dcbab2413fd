"""Webhooks on the wire."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from agio.api.native.schemas.agents import ShortText, leave_defaults_out
from agio.api.native.schemas.common import Body, Instant, View

EventType = Literal["run_completed", "run_failed", "run_cancelled", "run_paused", "run_waiting", "run_interrupted"]
DeliveryState = Literal["held", "due", "delivered", "failed", "dropped"]
Url = Annotated[str, Field(min_length=1, max_length=2048, examples=["https://hooks.example/agio"])]
Secret = Annotated[
    str,
    Field(
        min_length=16,
        max_length=256,
        pattern=r"^[\x21-\x7e]+$",
        description="Signs what is sent. Behind `whsec_` stands base64; any other text is the key itself.",
    ),
]
_EXAMPLE: dict[str, Any] = {"url": "https://hooks.example/agio", "events": ["run_completed", "run_failed"]}
_ENDINGS: list[EventType] = ["run_completed", "run_failed", "run_cancelled"]
_EVENTS = "What it is told of; a run's ends, unless said otherwise."


class WebhookBody(Body):
    """Somebody who wants to be told how runs end."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    url: Url
    name: ShortText = ""
    events: list[EventType] = Field(default_factory=lambda: list(_ENDINGS), min_length=1, description=_EVENTS)
    agent_id: str | None = Field(default=None, max_length=128, description="Runs of this agent only.")
    enabled: bool = True
    secret: Secret | None = Field(default=None, description="Left out: one is made. Shown in this answer only.")

    def to_fields(self) -> dict[str, Any]:
        """Return the fields of the domain's form."""
        return _as_stored(self.model_dump())


class WebhookChanges(Body):
    """What shall become different; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra=leave_defaults_out)

    url: Url = Field(default_factory=str)
    name: ShortText = ""
    events: list[EventType] = Field(default_factory=list, min_length=1, description=_EVENTS)
    agent_id: str | None = Field(default=None, max_length=128, description="Null: runs of every agent.")
    enabled: bool = True
    secret: Secret = Field(default_factory=str)

    def to_changes(self) -> dict[str, Any]:
        """Return what was given, and nothing else."""
        return _as_stored(self.model_dump(exclude_unset=True))


def _as_stored(fields: dict[str, Any]) -> dict[str, Any]:
    if "events" in fields:
        fields["events"] = tuple(dict.fromkeys(fields["events"]))
    return fields


class WebhookView(View):
    """A webhook. Its secret is not shown."""

    id: str
    url: str
    name: str
    events: list[EventType]
    agent_id: str | None
    enabled: bool
    created_by: str
    created_at: Instant
    updated_at: Instant


class NewWebhookView(WebhookView):
    """A webhook as it was made, with the secret that its receiver needs."""

    secret: str | None = Field(description="Null: the request was repeated; the first answer had it.")


class AttemptView(View):
    """One time that a delivery was sent."""

    at: Instant
    duration_ms: int
    status: int | None = Field(description="HTTP status of the answer; null: there was none.")
    error: str | None


class DeliveryView(View):
    """What became of telling a webhook of one event."""

    id: str = Field(description="Sent as `webhook-id`, the same at every attempt.", examples=["msg_3f2a"])
    webhook_id: str
    run_id: str
    event: str | None = Field(description="Null until the run has ended or rests.")
    seq: int | None = Field(description="The event's sequence number.")
    state: DeliveryState = Field(
        description="`held`: the run has not ended yet · `due`: it will be sent · `failed`: given up · "
        "`dropped`: there was nothing to say, or nobody to say it to."
    )
    next_at: Instant | None = Field(description="When it is tried next; null: not any more.")
    attempts: list[AttemptView]
    reason: str | None = Field(description="Why it was dropped.")
    created_at: Instant
    settled_at: Instant | None


class DeliveryBodyView(DeliveryView):
    """A delivery with what is sent."""

    body: str | None = Field(description="JSON; null until the run has ended or rests.")
