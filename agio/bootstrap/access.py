"""Builds the access layer from settings."""

from datetime import UTC, datetime

from agio.domain.access import Role, User
from agio.domain.windows import Limit
from agio.security import Access, AccessSettings, StaticKey
from agio.settings import NamedKey, Settings
from agio.storage.port import Catalog

THEN = datetime(1970, 1, 1, tzinfo=UTC)


def make_access(settings: Settings, store: Catalog) -> Access:
    """Return the access layer of a server."""
    return Access(access_settings(settings), store)


def access_settings(settings: Settings) -> AccessSettings:
    """Return the part of the settings that the access layer needs."""
    secret = settings.jwt_secret
    keys = (*settings.api_keys, *([settings.api_key] if settings.api_key else []))
    return AccessSettings(
        checks=not settings.accepts_anyone,
        api_keys=_keys(keys, "api-key"),
        bearer_tokens=_keys(settings.bearer_tokens, "bearer-token"),
        jwt_secret=secret.get_secret_value() if secret else None,
        login_s=settings.login_s,
        users={name: _user(settings, name) for name in settings.users},
        proxy_auth=settings.proxy_auth,
        open_paths=frozenset(settings.open_paths),
        allow_open=settings.allow_open,
        failures=read_limit(settings.auth_failures),
        trusted_origins=frozenset(origin for origin in settings.cors_origins if origin != "*"),
    )


def read_limit(text: str) -> Limit:
    """Read `<count>/<seconds>`, which the settings have checked."""
    count, _, seconds = text.partition("/")
    return Limit(count=int(count), window_s=float(seconds))


def _keys(given: tuple[object, ...], what: str) -> tuple[StaticKey, ...]:
    found = []
    for number, one in enumerate(given, 1):
        if isinstance(one, NamedKey):
            key = one.key.get_secret_value()
            found.append(StaticKey(key=key, name=f"key:{one.name}", group_id=one.group, role=Role(one.role)))
        else:
            found.append(StaticKey(key=one.get_secret_value(), name=f"{what}-{number}"))  # type: ignore[attr-defined]
    return tuple(found)


def _user(settings: Settings, name: str) -> User:
    given = settings.users[name]
    return User(
        id=name,
        password_hash=given.password_hash.get_secret_value(),
        groups=given.groups,
        roles=tuple(Role(role) for role in given.roles),
        created_by="settings",
        created_at=THEN,
        updated_at=THEN,
    )
