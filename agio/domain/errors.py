"""The error tree. Edges map classes to their own codes; the domain knows no HTTP status.

AgioError
├── NotFound            unknown id, or an id of another group
├── Conflict            the present state forbids it
│   ├── AlreadyExists   the id is taken
│   ├── BranchBusy      another run holds the branch
│   ├── InvalidTransition   the run's status forbids it
│   ├── LeaseLost       another worker owns the run now
│   └── KeyMissing      the run waits for a model key that only its caller has
├── Invalid             the input breaks a rule
├── Denied              the caller lacks the right
├── LimitExceeded       a size, rate or budget limit
│   └── TooMany         of requests, failures or tokens, for now
│       ├── TooManyFailures     wrong passwords or keys
│       └── QuotaExceeded       the group has spent its tokens for now
├── ProviderError       the model's endpoint failed (retryable or not)
├── ToolError           a tool failed in a way the model may see
├── Unsupported         this installation cannot do it
└── StoreUnavailable    the database is away; nothing was decided
    ├── StoreFull       its disk is full
    └── StoreReadOnly   it may not be written
"""

from typing import ClassVar


class AgioError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "error"
    retryable: bool = False

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class NotFound(AgioError):
    """There is no such thing."""

    code = "not_found"


class Conflict(AgioError):
    """The present state forbids it."""

    code = "conflict"


class AlreadyExists(Conflict):
    """The id is taken."""

    code = "already_exists"


class BranchBusy(Conflict):
    """Another run holds the branch."""

    code = "branch_busy"

    def __init__(self, message: str | None = None, *, holder: str | None = None) -> None:
        super().__init__(message)
        self.holder = holder


class InvalidTransition(Conflict):
    """The run's status forbids it."""

    code = "invalid_transition"

    def __init__(self, message: str | None = None, *, status: str) -> None:
        super().__init__(message)
        self.status = status


class LeaseLost(Conflict):
    """Another worker owns the run now."""

    code = "lease_lost"


class KeyMissing(Conflict):
    """The key that came with the run's request is gone with its process; send it again: X-LLM-API-KEY with resume"""

    code = "llm_key_missing"


class Invalid(AgioError):
    """The input breaks a rule."""

    code = "invalid"

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class Denied(AgioError):
    """The caller lacks the right."""

    code = "denied"


class LimitExceeded(AgioError):
    """A limit was exceeded."""

    code = "limit_exceeded"


class TooMany(LimitExceeded):
    """Too many for now; try again later."""

    code = "too_many_requests"
    retryable = True

    def __init__(self, message: str | None = None, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyFailures(TooMany):
    """Too many failed attempts"""

    code = "too_many_failures"


class QuotaExceeded(TooMany):
    """The group has spent the tokens that it may for now"""

    code = "quota_exceeded"


class ProviderError(AgioError):
    """The model's endpoint failed.

    `code` of an instance is one of `provider_auth`, `provider_rejected`, `provider_rate_limited`,
    `provider_timeout`, `provider_unavailable`, `provider_stream_broken`, `context_exceeded`,
    `provider_not_configured`, `provider_flood`, `llm_key_missing`, `llm_key_unreadable`, `llm_key_unknown`,
    `answer_unusable`.
    """

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str = "provider_unavailable",
        retryable: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # per instance: the provider's own kind of failure
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class ToolError(AgioError):
    """A tool failed; the model is told the message.

    `code` of an instance is one of `tool_failed`, `tool_timeout`, `unknown_tool`,
    `invalid_arguments`, `tool_disabled`, `tool_cancelled`, `tool_rejected`, `outcome_unknown`.
    """

    def __init__(self, message: str | None = None, *, code: str = "tool_failed") -> None:
        super().__init__(message)
        self.code = code  # type: ignore[misc]  # per instance: what kind of tool failure


class Unsupported(AgioError):
    """This installation cannot do it."""

    code = "unsupported"


class StoreUnavailable(AgioError):
    """The database is away; try again."""

    code = "store_unavailable"
    retryable = True


class StoreFull(StoreUnavailable):
    """The database's disk is full; make room."""

    code = "store_full"


class StoreReadOnly(StoreUnavailable):
    """The database may not be written; give the permission back."""

    code = "store_read_only"
