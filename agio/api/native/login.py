"""Logging in and out: at the root, where neighbours' clients look."""

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response

from agio.api.access import address_of, needs
from agio.api.context import AccessDep, PrincipalDep
from agio.api.native.schemas.access import LoginAnswer, LoginBody, MeView
from agio.api.problems import documented
from agio.domain.access import Permission
from agio.security import COOKIE, WebToken

router = APIRouter(prefix="/auth", tags=["access"])
about_me = APIRouter(tags=["access"])


@router.post(
    "/login",
    operation_id="logIn",
    summary="Log in with name and password",
    response_model=LoginAnswer,
    responses=documented(404),
)
async def log_in(body: LoginBody, request: Request, access: AccessDep) -> Response:
    """Answers a JSON web token. Too many wrong passwords of one address, or on one name, are refused for a while."""
    address = address_of(request.scope)
    token = await access.log_in(body.username, body.password, address=address, group_id=body.group)
    if token is None:
        raise HTTPException(401, "Wrong user name or password", {"WWW-Authenticate": 'Bearer realm="agio"'})
    answer = LoginAnswer(
        access_token=token.text,
        token=token.text,
        expires_in=round(access.settings.login_s),
        expires_at=token.expires_at,
        group_id=token.group_id,
    )
    response = JSONResponse(answer.model_dump(mode="json"), headers={"Cache-Control": "no-store"})
    if body.cookie:
        _set_cookie(response, request, token, access.settings.login_s)
    return response


def _set_cookie(response: Response, request: Request, token: WebToken, valid_s: float) -> None:
    is_secure = request.url.scheme == "https"
    response.set_cookie(
        COOKIE, token.text, max_age=round(valid_s), httponly=True, samesite="strict", secure=is_secure, path="/"
    )


@router.post("/logout", operation_id="logOut", summary="Log out", status_code=204, responses=documented())
@needs(Permission.READ)
async def log_out(access: AccessDep, principal: PrincipalDep) -> Response:
    """The token is accepted no more, by no process; the cookie goes. Keys are revoked elsewhere."""
    if principal.login is not None and access.web_tokens is not None:
        await access.web_tokens.revoke(principal.login)
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/")
    return response


@about_me.get("/me", operation_id="getMe", summary="See who you are here", responses=documented())
async def get_me(principal: PrincipalDep) -> MeView:
    """The name that commands are noted under, the group, and what is allowed."""
    return MeView(
        name=principal.name,
        kind=principal.kind,
        group_id=principal.group_id,
        groups=list(principal.groups),
        permissions=sorted(principal.permissions),
    )
