"""JSON web tokens: issued at login, accepted until they expire or are logged out.

A token that was made elsewhere with the same secret is accepted too (`sub` and `exp` are demanded); its own claims then
say which groups and roles it has, unless a user of that name is known here.
"""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from agio.domain.access import (
    EVERYWHERE,
    RevokedToken,
    Role,
    User,
    check_group,
    check_user,
    own_group,
    permissions_of,
)
from agio.domain.errors import AlreadyExists, Denied, Invalid, NotFound
from agio.security.clock import Clock, utc_now
from agio.security.people import People, accepts_token, as_principal
from agio.security.principal import Login, Principal, first_group
from agio.storage.port import REVOKED_TOKENS, Catalog

ISSUER = "agio"
ALGORITHM = "HS256"
MIN_SECRET_BYTES = 32
LEEWAY_S = 5
"""How far the clocks of two machines may differ."""


@dataclass(frozen=True, slots=True)
class WebToken:
    """A token that was just issued."""

    text: str = field(repr=False)
    expires_at: datetime
    group_id: str


class WebTokens:
    """Issues and checks tokens."""

    def __init__(self, store: Catalog, people: People, *, secret: str, valid_s: float, clock: Clock = utc_now) -> None:
        self._store = store
        self._people = people
        self._secret = secret
        self._valid_s = valid_s
        self._clock = clock

    def issue(self, user: User, *, group_id: str | None = None) -> WebToken:
        """Return a token for the user.

        Raises:
            Denied: the user is not in that group.
        """
        principal = as_principal(user, group_id=group_id)
        now = self._clock()
        expires_at = now + timedelta(seconds=self._valid_s)
        claims = {
            "iss": ISSUER,
            "sub": user.id,
            "group": principal.group_id,
            # To the microsecond: a password may be changed in the second of the login.
            "iat": now.timestamp(),
            "exp": expires_at.timestamp(),
            "jti": secrets.token_hex(16),
        }
        return WebToken(jwt.encode(claims, self._secret, ALGORITHM), expires_at, principal.group_id)

    async def find(self, text: str) -> Principal | None:
        """Return whose token it is; None: nobody's, or not any more."""
        claims = self._decode(text)
        if claims is None:
            return None
        login = Login(id=str(claims.get("jti") or ""), expires_at=_instant(claims["exp"]))
        if login.id and await self._is_revoked(login.id):
            return None
        user = await self._people.find(claims["sub"])
        if user is not None:
            return self._known(user, claims, login)
        return None if claims.get("iss") == ISSUER else _stranger(claims, login)

    async def revoke(self, login: Login) -> None:
        """Accept a token no more, in any process."""
        record = RevokedToken(id=login.id, created_at=login.expires_at)
        try:
            await self._store.insert(REVOKED_TOKENS, record)
        except AlreadyExists:
            return

    def _decode(self, text: str) -> dict[str, Any] | None:
        try:
            claims: dict[str, Any] = jwt.decode(
                text,
                self._secret,
                algorithms=[ALGORITHM],
                leeway=LEEWAY_S,
                options={"require": ["exp", "sub"], "verify_iat": False, "verify_aud": False, "verify_exp": False},
            )
        except (jwt.InvalidTokenError, ValueError):
            return None
        return claims if _is_timely(claims, self._clock().timestamp()) else None

    async def _is_revoked(self, token_id: str) -> bool:
        try:
            await self._store.get(REVOKED_TOKENS, EVERYWHERE, token_id)
        except NotFound:
            return False
        return True

    def _known(self, user: User, claims: dict[str, Any], login: Login) -> Principal | None:
        if not accepts_token(user, _instant(claims.get("iat", 0))):
            return None
        try:
            return as_principal(
                user, group_id=claims.get("group") if claims.get("iss") == ISSUER else None, login=login
            )
        except Denied:  # it was taken out of the group since
            return None


def _is_timely(claims: dict[str, Any], now_s: float) -> bool:
    try:
        return now_s < float(claims["exp"]) + LEEWAY_S and float(claims.get("iat") or 0) <= now_s + 60
    except (TypeError, ValueError):
        return False


def _stranger(claims: dict[str, Any], login: Login) -> Principal | None:
    """Return whoever a token from elsewhere names, with the groups and roles that it claims."""
    named = claims.get("groups") or claims.get("group_id") or claims.get("group") or ()
    said = claims.get("roles") or claims.get("role") or ()
    try:
        name = check_user(str(claims["sub"]))
        groups = [check_group(str(group)) for group in _listed(named)]
    except Invalid:
        return None
    roles = [Role(str(role).lower()) for role in _listed(said) if str(role).lower() in set(Role)] or [Role.OPERATOR]
    first, known = first_group(groups, own_group(name))
    return Principal(
        name=name,
        kind="user",
        group_id=first,
        groups=known,
        permissions=permissions_of(roles),
        user_id=name,
        login=login,
    )


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _instant(seconds: Any) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
