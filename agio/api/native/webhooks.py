"""Webhooks: make, find, change, delete; look at deliveries and order them again."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from agio.api.access import needs
from agio.api.context import CallerDep, EngineDep
from agio.api.native.access_keys import UNSTORED
from agio.api.native.schemas.common import Limit, ListOf, Offset, listed
from agio.api.native.schemas.webhooks import (
    DeliveryBodyView,
    DeliveryState,
    DeliveryView,
    NewWebhookView,
    WebhookBody,
    WebhookChanges,
    WebhookView,
)
from agio.api.once import KEYED, reserve
from agio.api.problems import documented
from agio.domain.access import Permission
from agio.domain.errors import AlreadyExists
from agio.domain.ids import new_id
from agio.domain.webhooks import Delivery

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

WebhookPath = Annotated[str, Path(max_length=128, description="The webhook's id.")]
DeliveryPath = Annotated[str, Path(max_length=128, description="The delivery's id.")]


@router.post(
    "",
    operation_id="createWebhook",
    summary="Be told when runs end",
    status_code=201,
    response_model=NewWebhookView,
    responses=documented(409),
    dependencies=[KEYED],
)
@needs(Permission.BUILD)
async def create_webhook(body: WebhookBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """The answer is the only one that shows the secret. Every run that ends from now on is told of."""
    note, _ = await reserve(request, engine, caller)
    webhook_id = note.resource_id if note else new_id()
    try:
        made = await engine.webhooks.create(caller, id=webhook_id, **body.to_fields())
        view = NewWebhookView.model_validate(made)
    except AlreadyExists:
        known = WebhookView.model_validate(await engine.webhooks.get(caller, webhook_id))
        view = NewWebhookView(**known.model_dump(), secret=None)
    headers = UNSTORED | {"Location": f"/api/webhooks/{webhook_id}"}
    return JSONResponse(view.model_dump(mode="json"), 201, headers)


@router.get("", operation_id="listWebhooks", summary="List webhooks", responses=documented())
async def list_webhooks(
    engine: EngineDep, caller: CallerDep, limit: Limit = 20, offset: Offset = 0
) -> ListOf[WebhookView]:
    """By time of creation. Those that a protocol made for one run are not among them."""
    page = await engine.webhooks.list(caller, limit=limit, offset=offset)
    return listed([WebhookView.model_validate(one) for one in page.items], page.total, limit, offset)


@router.get("/{webhook_id}", operation_id="getWebhook", summary="Look at a webhook", responses=documented(404))
async def get_webhook(webhook_id: WebhookPath, engine: EngineDep, caller: CallerDep) -> WebhookView:
    """Without its secret."""
    return WebhookView.model_validate(await engine.webhooks.get(caller, webhook_id))


@router.patch("/{webhook_id}", operation_id="patchWebhook", summary="Change a webhook", responses=documented(404))
@needs(Permission.BUILD)
async def patch_webhook(
    webhook_id: WebhookPath, body: WebhookChanges, engine: EngineDep, caller: CallerDep
) -> WebhookView:
    """Deliveries that are due go to the new URL, signed with the new secret."""
    return WebhookView.model_validate(await engine.webhooks.update(caller, webhook_id, body.to_changes()))


@router.delete(
    "/{webhook_id}",
    operation_id="deleteWebhook",
    summary="Delete a webhook",
    status_code=204,
    responses=documented(404),
)
@needs(Permission.BUILD)
async def delete_webhook(webhook_id: WebhookPath, engine: EngineDep, caller: CallerDep) -> None:
    """What it is owed is dropped."""
    await engine.webhooks.delete(caller, webhook_id)


@router.get(
    "/{webhook_id}/deliveries",
    operation_id="listDeliveries",
    summary="List what a webhook was sent, newest first",
    responses=documented(404),
)
async def list_deliveries(
    webhook_id: WebhookPath,
    engine: EngineDep,
    caller: CallerDep,
    state: Annotated[DeliveryState | None, Query()] = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> ListOf[DeliveryView]:
    """Each with the log of its attempts. They are kept for 30 days."""
    page = await engine.webhooks.deliveries(caller, webhook_id, state=state, limit=limit, offset=offset)
    return listed([DeliveryView.model_validate(_shown(one)) for one in page.items], page.total, limit, offset)


@router.get(
    "/{webhook_id}/deliveries/{delivery_id}",
    operation_id="getDelivery",
    summary="Look at a delivery",
    responses=documented(404),
)
async def get_delivery(
    webhook_id: WebhookPath, delivery_id: DeliveryPath, engine: EngineDep, caller: CallerDep
) -> DeliveryBodyView:
    """With what is sent."""
    return DeliveryBodyView.model_validate(_shown(await engine.webhooks.delivery(caller, webhook_id, delivery_id)))


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    operation_id="redeliver",
    summary="Make a delivery once more",
    status_code=202,
    responses=documented(404, 409),
)
@needs(Permission.BUILD)
async def redeliver(
    webhook_id: WebhookPath, delivery_id: DeliveryPath, engine: EngineDep, caller: CallerDep
) -> DeliveryView:
    """The same message under the same id, whether it was delivered or given up."""
    return DeliveryView.model_validate(_shown(await engine.webhooks.redeliver(caller, webhook_id, delivery_id)))


def _shown(delivery: Delivery) -> dict[str, object]:
    """Return the fields that are shown."""
    fields = {name: getattr(delivery, name) for name in DeliveryBodyView.model_fields}
    return fields | {"next_at": None if delivery.is_settled else delivery.next_at}
