"""People who may log in, as the admins of their group manage them."""

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import JSONResponse, Response

from agio.api.access import needs
from agio.api.context import AccessDep, PrincipalDep
from agio.api.native.schemas.access import UserBody, UserChanges, UserView, view_user
from agio.api.native.schemas.common import Limit, ListOf, Offset, listed
from agio.api.problems import documented
from agio.domain.access import Permission
from agio.domain.errors import NotFound

router = APIRouter(prefix="/users", tags=["access"])

UserPath = Annotated[str, Path(max_length=128, description="The user's name.", examples=["ann"])]


@router.get("", operation_id="listUsers", summary="List the group's users, oldest first", responses=documented())
@needs(Permission.ADMIN)
async def list_users(access: AccessDep, by: PrincipalDep, limit: Limit = 20, offset: Offset = 0) -> ListOf[UserView]:
    """Those who are kept here; whom the settings name is not among them."""
    page = await access.people.list(by.group_id, limit=limit, offset=offset)
    return listed([view_user(user) for user in page.items], page.total, limit, offset)


@router.post(
    "",
    operation_id="createUser",
    summary="Make a user in the group",
    status_code=201,
    response_model=UserView,
    responses=documented(409),
)
@needs(Permission.ADMIN)
async def create_user(body: UserBody, access: AccessDep, by: PrincipalDep) -> Response:
    """A name is one person's in the whole installation."""
    user = await access.people.add(body.name, body.password, groups=[by.group_id], roles=body.roles, by=by.name)
    headers = {"Location": f"/api/users/{user.id}"}
    return JSONResponse(view_user(user).model_dump(mode="json"), 201, headers)


@router.get("/{name}", operation_id="getUser", summary="Look at a user", responses=documented(404))
@needs(Permission.ADMIN)
async def get_user(name: UserPath, access: AccessDep, by: PrincipalDep) -> UserView:
    """Of the caller's group."""
    user = await access.people.find(name)
    if user is None or by.group_id not in user.groups:
        raise NotFound(f"there is no user {name!r}")
    return view_user(user)


@router.patch("/{name}", operation_id="updateUser", summary="Change a user", responses=documented(404, 409))
@needs(Permission.ADMIN)
async def update_user(name: UserPath, body: UserChanges, access: AccessDep, by: PrincipalDep) -> UserView:
    """A new password, other roles, or switched off; tokens from before are not accepted any more."""
    user = await access.people.change(
        name, of_group=by.group_id, password=body.password, roles=body.roles, enabled=body.enabled
    )
    return view_user(user)


@router.delete(
    "/{name}", operation_id="deleteUser", summary="Delete a user", status_code=204, responses=documented(404, 409)
)
@needs(Permission.ADMIN)
async def delete_user(name: UserPath, access: AccessDep, by: PrincipalDep) -> None:
    """What the user made stays; tokens are not accepted any more."""
    await access.people.remove(name, of_group=by.group_id)
