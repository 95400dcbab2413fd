"""Prompt templates: texts with variables."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse, Response

from agio.api.access import needs
from agio.api.context import CallerDep, EngineDep
from agio.api.native.schemas.common import Limit, ListOf, Offset, listed
from agio.api.native.schemas.templates import TemplateBody, TemplateChanges, TemplateView, view_template
from agio.api.once import KEYED, once
from agio.api.problems import documented
from agio.domain.access import Permission
from agio.domain.templates import Template, check_variables
from agio.engine.clock import utc_now

router = APIRouter(prefix="/templates", tags=["templates"])

TemplatePath = Annotated[str, Path(max_length=128, description="The template's id.")]


@router.get("", operation_id="listTemplates", summary="List templates, oldest first", responses=documented())
async def list_templates(
    engine: EngineDep,
    caller: CallerDep,
    q: Annotated[str | None, Query(max_length=200, description="Occurs in the name or description.")] = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> ListOf[TemplateView]:
    """Those of the group."""
    page = await engine.templates.list(caller, limit=limit, offset=offset, text=q)
    return listed([view_template(one) for one in page.items], page.total, limit, offset)


@router.post(
    "",
    operation_id="createTemplate",
    summary="Keep a template",
    status_code=201,
    response_model=TemplateView,
    responses=documented(409),
    dependencies=[KEYED],
)
@needs(Permission.BUILD)
async def create_template(body: TemplateBody, request: Request, engine: EngineDep, caller: CallerDep) -> Response:
    """Templates named `generate_agent`, `generate_task` or `generate_crew` are what the drafts' models are told."""
    variables = check_variables(body.template, body.variables)

    async def make(template_id: str) -> Response:
        now = utc_now()
        record = Template(
            id=template_id,
            group_id=caller.group_id,
            name=body.name,
            text=body.template,
            variables=variables,
            description=body.description,
            created_by=caller.name,
            created_at=now,
            updated_at=now,
        )
        made = await engine.templates.create(caller, record)
        headers = {"Location": f"/api/templates/{made.id}"}
        return JSONResponse(view_template(made).model_dump(mode="json"), 201, headers)

    return await once(request, engine, caller, make)


@router.get("/{template_id}", operation_id="getTemplate", summary="Look at a template", responses=documented(404))
async def get_template(template_id: TemplatePath, engine: EngineDep, caller: CallerDep) -> TemplateView:
    """As it is now."""
    return view_template(await engine.templates.get(caller, template_id))


@router.put(
    "/{template_id}", operation_id="updateTemplate", summary="Change a template", responses=documented(404, 409)
)
@router.patch(
    "/{template_id}", operation_id="patchTemplate", summary="Change a template", responses=documented(404, 409)
)
@needs(Permission.BUILD)
async def update_template(
    template_id: TemplatePath, body: TemplateChanges, engine: EngineDep, caller: CallerDep
) -> TemplateView:
    """What the body leaves out stays as it is; with a new text the variables are those in its braces."""
    return view_template(await engine.templates.change(caller, template_id, body.to_changes()))


@router.delete(
    "/{template_id}",
    operation_id="deleteTemplate",
    summary="Forget a template",
    status_code=204,
    responses=documented(404),
)
@needs(Permission.BUILD)
async def delete_template(template_id: TemplatePath, engine: EngineDep, caller: CallerDep) -> None:
    """At once."""
    await engine.templates.delete(caller, template_id)
