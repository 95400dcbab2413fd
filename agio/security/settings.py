"""What the access layer needs to know; built once by the composition root."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agio.domain.access import User
from agio.domain.windows import Limit
from agio.security.static_keys import StaticKey


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """Who may call."""

    checks: bool = False
    """False: everyone is `anonymous` and may everything."""
    api_keys: tuple[StaticKey, ...] = ()
    bearer_tokens: tuple[StaticKey, ...] = ()
    jwt_secret: str | None = field(default=None, repr=False)
    login_s: float = 3600.0
    """Seconds that a token of a login is valid."""
    users: Mapping[str, User] = field(default_factory=dict)
    """People named by the settings; they win over stored ones."""
    proxy_auth: bool = False
    """Believe the user that a trusted proxy names."""
    open_paths: frozenset[str] = frozenset()
    """Paths that are open to everyone, beside those that always are."""
    allow_open: bool = False
    """Serve everyone on every address, where nobody is checked."""
    failures: Limit = field(default_factory=lambda: Limit(count=20, window_s=300.0))
    """Failed attempts of one address, or on one user's name, before further ones are refused."""
    trusted_origins: frozenset[str] = frozenset()
    """Other origins whose pages may use the cookie of a login."""
    stream_token_s: float = 900.0
    """Seconds that a stream token is valid."""
