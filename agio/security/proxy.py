"""Users that a trusted proxy names in headers (Databricks Apps, oauth2-proxy and their like).

Not responsible for deciding which proxy is trusted: who calls this has seen to it.
"""

from collections.abc import Mapping

from agio.domain.access import Role, check_group, check_user, own_group, permissions_of
from agio.domain.errors import Invalid
from agio.security.people import People, as_principal
from agio.security.principal import Principal, first_group

USER_HEADERS = ("x-forwarded-email", "x-forwarded-preferred-username", "x-forwarded-user")
"""The first one that is there names the user."""
GROUPS_HEADER = "x-forwarded-groups"
"""Comma-separated; the first is the user's unless a request names another."""
IDENTITY_HEADERS = (*USER_HEADERS, GROUPS_HEADER, "x-forwarded-access-token")
"""None of them counts where no trusted proxy sent it."""

PUBLIC_MAIL = frozenset(
    {
        *("aol.com", "gmail.com", "gmx.de", "gmx.net", "googlemail.com", "hotmail.com", "icloud.com", "live.com"),
        *("mail.com", "mail.ru", "me.com", "msn.com", "outlook.com", "pm.me", "proton.me", "protonmail.com"),
        *("qq.com", "t-online.de", "web.de", "yahoo.com", "yandex.ru", "163.com"),
    }
)
"""Mail hosts whose users have nothing to do with each other: their domain is no group."""


async def find_proxied(people: People | None, headers: Mapping[str, str]) -> Principal | None:
    """Return the user that the proxy names; None: it names none.

    The group is the one that the proxy or the user's record says, else the domain of the mail address, else the
    user's own.
    """
    named = next((headers[name].strip() for name in USER_HEADERS if headers.get(name, "").strip()), None)
    if named is None:
        return None
    try:
        name = check_user(named)
        groups = [check_group(part.strip()) for part in headers.get(GROUPS_HEADER, "").split(",") if part.strip()]
    except Invalid:
        return None
    user = await people.find(name) if people is not None else None
    if user is not None and (not user.enabled or not groups):
        return as_principal(user) if user.enabled else None
    first, known = first_group(groups, _domain_group(name) or own_group(name))
    return Principal(
        name=name,
        kind="user",
        group_id=first,
        groups=known,
        permissions=permissions_of(user.roles if user is not None else (Role.OPERATOR,)),
        user_id=name,
    )


def _domain_group(name: str) -> str | None:
    domain = name.rpartition("@")[2].lower() if "@" in name else ""
    return domain if "." in domain and domain not in PUBLIC_MAIL else None
