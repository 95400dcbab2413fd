"""Stored models: names of the group's own for a provider's model, its parameters and its key."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from agio.api.access import needs
from agio.api.context import CallerDep, EngineDep
from agio.api.native.schemas.common import Limit, ListOf, Offset, listed
from agio.api.native.schemas.models import ModelBody, ModelChanges, ModelView
from agio.api.once import KEYED, once, reserve
from agio.api.problems import documented
from agio.domain.access import Permission
from agio.domain.stored_models import StoredModel
from agio.engine.clock import utc_now

router = APIRouter(prefix="/models", tags=["models"])

ModelPath = Annotated[str, Path(min_length=1, max_length=200, description="The model's name; may hold `/`.")]


@router.get("", operation_id="listModels", summary="List stored models, oldest first", responses=documented())
async def list_models(
    engine: EngineDep,
    caller: CallerDep,
    provider: Annotated[str | None, Query(max_length=100, description="Of this provider only.")] = None,
    q: Annotated[
        str | None, Query(max_length=200, description="Occurs in the name or the provider's name of it.")
    ] = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> ListOf[ModelView]:
    """Those that the group has named. Agents may also name any model that their provider knows."""
    page = await engine.models.list(caller, limit=limit, offset=offset, provider=provider, text=q)
    return listed([ModelView.model_validate(one) for one in page.items], page.total, limit, offset)


@router.post(
    "",
    operation_id="createModel",
    summary="Name a model",
    status_code=201,
    response_model=ModelView,
    responses=documented(409),
    dependencies=[KEYED],
)
@needs(Permission.BUILD)
async def create_model(body: ModelBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """Agents, crews and runs that name it as their `model` are asked of its provider, with its parameters and key."""

    note, _ = await reserve(request, engine, caller, wanted_id=body.name)

    async def make(_: str) -> Response:
        now = utc_now()
        record = StoredModel(
            group_id=caller.group_id, created_by=caller.name, created_at=now, updated_at=now, **body.to_stored()
        )
        made = await engine.models.create(caller, record, since=note.created_at if note else None)
        return JSONResponse(ModelView.model_validate(made).model_dump(mode="json"), 201)

    return await once(request, engine, caller, make, wanted_id=body.name)


@router.get("/{model_name:path}", operation_id="getModel", summary="Look at a stored model", responses=documented(404))
async def get_model(model_name: ModelPath, engine: EngineDep, caller: CallerDep) -> ModelView:
    """As it is now."""
    return ModelView.model_validate(await engine.models.get(caller, model_name))


@router.put(
    "/{model_name:path}", operation_id="updateModel", summary="Change a stored model", responses=documented(404)
)
@router.patch(
    "/{model_name:path}", operation_id="patchModel", summary="Change a stored model", responses=documented(404)
)
@needs(Permission.BUILD)
async def update_model(model_name: ModelPath, body: ModelChanges, engine: EngineDep, caller: CallerDep) -> ModelView:
    """What the body leaves out stays as it is. Runs that have begun keep what they began with."""
    return ModelView.model_validate(await engine.models.change(caller, model_name, body.to_changes()))


@router.delete(
    "/{model_name:path}",
    operation_id="deleteModel",
    summary="Forget a stored model",
    status_code=204,
    responses=documented(404),
)
@needs(Permission.BUILD)
async def delete_model(model_name: ModelPath, engine: EngineDep, caller: CallerDep) -> None:
    """From now on agents that name it ask their own provider for a model of that name."""
    await engine.models.delete(caller, model_name)
