"""Who may call, for whom, how much: principals, credentials, users, windows, and keys of model providers."""

from agio.security.access import Access
from agio.security.access_keys import AccessKeys, IssuedKey
from agio.security.credentials import COOKIE, Credential, find_credentials, hide_credentials
from agio.security.key_manager import LLMKeyConfigManager
from agio.security.llm_keys import LlmKeys
from agio.security.passwords import hash_password
from agio.security.people import People
from agio.security.principal import ANYONE, Principal, StreamScope
from agio.security.proxy import IDENTITY_HEADERS
from agio.security.quota import TokenQuota
from agio.security.rate_limit import RateLimiter
from agio.security.settings import AccessSettings
from agio.security.static_keys import StaticKey, name_keys
from agio.security.stream_tokens import StreamTokens
from agio.security.tokens import MIN_SECRET_BYTES, WebToken
from agio.security.windows import Windows

__all__ = [
    "ANYONE",
    "COOKIE",
    "IDENTITY_HEADERS",
    "MIN_SECRET_BYTES",
    "Access",
    "AccessKeys",
    "AccessSettings",
    "Credential",
    "IssuedKey",
    "LLMKeyConfigManager",
    "LlmKeys",
    "People",
    "Principal",
    "RateLimiter",
    "StaticKey",
    "StreamScope",
    "StreamTokens",
    "TokenQuota",
    "WebToken",
    "Windows",
    "find_credentials",
    "hash_password",
    "hide_credentials",
    "name_keys",
]
