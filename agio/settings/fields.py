"""Every setting: type, unit, default, meaning."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from agio.settings.layers import LayeredSource
from agio.settings.texts import (
    check_allowed_hosts,
    check_commands,
    check_database_url,
    check_jwt_secret,
    check_mongo_uri,
    check_password_hash,
    check_rate_limit,
    check_secret_keys,
    fold_level,
    read_duration,
    read_json,
    read_list,
    read_proxies,
    split_secrets,
)


def _read_from(name: str, *neighbours: str) -> Any:
    """Also read a setting from neighbours' variables; the first name that is set wins."""
    return Field(validation_alias=AliasChoices(name, *neighbours))


Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Duration = Annotated[timedelta, Field(gt=timedelta(), le=timedelta(days=36_500)), BeforeValidator(read_duration)]
Secret = Annotated[SecretStr, Field(min_length=1)]


RoleName = Literal["viewer", "operator", "admin"]
Group = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:+-]*$")]


class User(BaseModel):
    """Somebody who may log in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    password_hash: Annotated[SecretStr, AfterValidator(check_password_hash)]
    groups: tuple[Group, ...] = ()
    """The first is the user's unless a request names another; none: a group of their own."""
    roles: tuple[RoleName, ...] = ("operator",)


class GroupLimits(BaseModel):
    """What one group may do, in place of what every group may."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runs: Count | None = None
    """Runs that all processes together execute at once."""
    tokens: Annotated[str | None, AfterValidator(check_rate_limit)] = None
    """As `<count>/<seconds>`."""


class NamedKey(BaseModel):
    """A key of a program, with what it may do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Secret
    name: Annotated[str, Field(min_length=1, max_length=100)]
    group: Group = "default"
    role: RoleName = "admin"


Keys = Annotated[
    tuple[Annotated[Secret | NamedKey, Field(union_mode="left_to_right")], ...], NoDecode, BeforeValidator(read_json)
]


class Settings(BaseSettings):
    """How one installation of Agio behaves. Built once, passed down, never changed.

    Each field is read from `AGIO_<NAME>`, from the neighbours' variables that it names, and from the config file.
    """

    model_config = SettingsConfigDict(
        env_prefix="AGIO_",
        env_file=".env",
        env_ignore_empty=True,
        dotenv_filtering="only_existing",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_by_name=True,
    )

    # -- server

    host: Annotated[str, _read_from("AGIO_HOST", "AIPARTNERUPFLOW_HOST", "AIPARTNERUPFLOW_API_HOST")] = "127.0.0.1"
    """Address to listen on; 0.0.0.0 is every interface."""
    port: Annotated[
        int, Field(ge=0, le=65535), _read_from("AGIO_PORT", "AIPARTNERUPFLOW_PORT", "AIPARTNERUPFLOW_API_PORT")
    ] = 8000
    """TCP port to listen on; 0: any free one."""
    workers: Count = 1
    """Server processes on that port."""
    preload: bool = True
    """Fork them from a process that has imported the program; false: each starts from nothing."""
    reload: bool = False
    """Start over when a source file changes; for development, with one process."""
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(read_list)] = ("*",)
    """Origins that browsers may call from; `*` is all, without credentials. Empty: none."""
    trust_proxy: Annotated[bool | tuple[str, ...], NoDecode, BeforeValidator(read_proxies)] = False
    """Proxies whose X-Forwarded-* headers are believed: addresses or networks; true: whoever calls."""
    max_body_bytes: Count = 4 * 1024 * 1024
    """Largest request body, in bytes."""
    max_head_bytes: Annotated[int, Field(ge=4096)] = 32 * 1024
    """Largest request line with its headers, in bytes."""
    rate_limit: Annotated[str | None, AfterValidator(check_rate_limit)] = None
    """Requests of one caller, as `<count>/<seconds>`, in all processes together; None: no limit."""
    wires: Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(read_list)] = None
    """Interfaces to serve besides Agio's own (`a2a`, `aipartnerupflow`, `firefly`, `kasal`, `kawai`); None: all."""
    answer_timeout_s: Seconds | None = None
    """Seconds that a request without a stream waits for its run; then 504, and the run goes on. None: no limit."""
    on_socket_close: Literal["detach", "cancel"] = "detach"
    """What happens to the run that a WebSocket client started and left: it goes on, or is cancelled."""
    docs_enabled: Annotated[bool, _read_from("AGIO_DOCS_ENABLED", "DOCS_ENABLED")] = True
    """Serve the API's description and its consoles (/docs, /redoc, /openapi.json)."""
    log_level: Annotated[
        Literal["CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG", "TRACE"], BeforeValidator(fold_level)
    ] = "INFO"
    """What is logged: this level and those above it."""
    log_format: Literal["auto", "text", "json"] = "auto"
    """`auto`: lines for people on a terminal, JSON lines elsewhere."""
    metrics_enabled: bool = True
    """Serve figures for Prometheus at /metrics."""
    traces_enabled: bool = False
    """Make OpenTelemetry spans of runs; needs `agio[otel]`, and OTEL_* variables say where they go."""
    config_file: Path | None = None
    """YAML file with further settings; variables win over it."""

    # -- storage

    database_url: Annotated[
        str | None,
        Field(repr=False),
        AfterValidator(check_database_url),
        _read_from("AGIO_DATABASE_URL", "AIPARTNERUPFLOW_DATABASE_URL"),
    ] = None
    """`sqlite:///relative.db`, `sqlite:////absolute.db`, `mongodb://…`, `mongodb+srv://…`; None: see `store_url`."""
    mongo_uri: Annotated[str | None, Field(repr=False), AfterValidator(check_mongo_uri)] = None
    """The same for MongoDB alone; names one store with `database_url`, not a second one."""

    # -- models and agents

    openai_api_key: Annotated[SecretStr | None, _read_from("AGIO_OPENAI_API_KEY", "OPENAI_API_KEY")] = None
    """Key of the OpenAI-compatible endpoint."""
    openai_base_url: Annotated[str | None, _read_from("AGIO_OPENAI_BASE_URL", "OPENAI_BASE_URL")] = None
    """Its base URL; None: OpenAI's own."""
    default_model: str | None = None
    """Model of agents that name none; a prefix (`anthropic/…`) may name the provider. None: the provider's default."""
    default_agent: Annotated[str, Field(min_length=1)] = "assistant"
    """Agent that answers where a request names none."""
    examples: bool = True
    """Make the example records at the first start."""
    serper_api_key: Annotated[SecretStr | None, _read_from("AGIO_SERPER_API_KEY", "SERPER_API_KEY")] = None
    """Key of the tool `web_search`; None: agents are not given that tool."""
    allow_private_http: bool = False
    """Let `http_get`, HTTP tools and webhooks reach private addresses."""
    allow_hosts: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(read_list), AfterValidator(check_allowed_hosts)
    ] = ()
    """Names, addresses and networks (`10.1.0.0/16`) that these may reach though they are not public."""
    mcp_commands: Annotated[tuple[str, ...], NoDecode, BeforeValidator(read_list), AfterValidator(check_commands)] = ()
    """Command lines that may be run as MCP servers; one that ends in ` *` may have further arguments. None by default:
    whoever may make tools could run programs."""

    # -- who may call

    auth_enabled: bool | None = None
    """None: callers are checked as soon as one of the settings below says how."""
    allow_open: bool = False
    """Serve everyone on every address where nobody is checked; else only this machine is served."""
    api_keys: Annotated[Keys, _read_from("AGIO_API_KEYS", "FIREFLY_GENAI_AUTH_API_KEYS")] = ()
    """Accepted API keys: texts, or objects of key, name, group and role."""
    api_key: Annotated[SecretStr | None, _read_from("AGIO_API_KEY", "API_KEY")] = None
    """One more accepted API key."""
    bearer_tokens: Annotated[Keys, _read_from("AGIO_BEARER_TOKENS", "FIREFLY_GENAI_AUTH_BEARER_TOKENS")] = ()
    """Accepted bearer tokens, in the same form."""
    jwt_secret: Annotated[
        SecretStr | None,
        AfterValidator(check_jwt_secret),
        _read_from("AGIO_JWT_SECRET", "AIPARTNERUPFLOW_JWT_SECRET", "AIPARTNERUPFLOW_JWT_SECRET_KEY"),
    ] = None
    """Signs and checks JSON web tokens; at least 32 bytes."""
    login_s: Seconds = 3600.0
    """Seconds that a token of POST /auth/login is valid."""
    users: Annotated[dict[str, User], NoDecode, BeforeValidator(read_json), Field(repr=False)] = Field(
        default_factory=dict
    )
    """People who may log in, by name."""
    proxy_auth: bool = False
    """Believe the user that a trusted proxy names in X-Forwarded-Email, -User and -Groups."""
    open_paths: Annotated[tuple[str, ...], NoDecode, BeforeValidator(read_list)] = ()
    """Paths that are open to everyone, beside health, documentation, login and the UI's files."""
    auth_failures: Annotated[str, AfterValidator(check_rate_limit)] = "20/300"
    """Failed attempts of one address or on one name, as `<count>/<seconds>`, before more are refused."""
    secret_key: Annotated[SecretStr | None, AfterValidator(check_secret_keys)] = None
    """Encrypts stored provider keys; several with commas between, newest first. None: such keys stay in memory."""

    # -- runs

    session_timeout_s: Seconds = 3600.0
    """Seconds after its last use that a session of POST /chat or GET /stream expires."""
    max_runs_per_group: Count | None = None
    """Runs of one group that all processes together execute at once; None: no limit."""
    group_tokens: Annotated[str | None, AfterValidator(check_rate_limit)] = None
    """Tokens that one group may spend, as `<count>/<seconds>`, in all processes together; None: no limit."""
    group_limits: Annotated[dict[str, GroupLimits], NoDecode, BeforeValidator(read_json)] = Field(default_factory=dict)
    """Limits of certain groups by name, in place of the two above: `{"team-a": {"runs": 5, "tokens": "1000/3600"}}`."""
    max_runs_per_worker: Count = 500
    """Runs that one process executes at once."""
    lease_s: Seconds = 10.0
    """Seconds without a heartbeat after which another process may take a process's runs."""
    local_takeover: bool = True
    """A process of the same machine that is gone is replaced at once, not when its lease has run out."""
    drain_s: Annotated[float, Field(ge=0)] = 30.0
    """Seconds that a stopping process gives its runs to reach the end of a step."""
    on_restart: Literal["resume", "cancel"] = "resume"
    """What happens to the runs of a process that dies or stops: they go on elsewhere, or end as cancelled."""

    # -- webhooks

    webhook_attempts: Annotated[int, Field(ge=1, le=20)] = 8
    """How often a delivery is tried before it is given up; it can be ordered again."""
    webhook_retry_s: Annotated[float, Field(gt=0, le=3600)] = 5.0
    """Seconds between the first attempt and the second; four times as many after each further one, up to 6 hours."""
    webhook_timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0
    """Seconds that a receiver has to answer."""

    # -- after their end

    compact_after: Duration | None = None
    """How long after its end the tokens of a run are joined to whole messages; None: never."""
    retain_completed: Duration | None = None
    """How long completed runs are kept; None: for ever."""
    retain_failed: Duration | None = None
    """How long failed runs are kept; None: for ever."""
    retain_cancelled: Duration | None = None
    """How long cancelled runs are kept; None: for ever."""

    @model_validator(mode="after")
    def _check_together(self) -> "Settings":
        if self.database_url and self.mongo_uri and self.database_url != self.mongo_uri:
            raise ValueError("AGIO_DATABASE_URL and AGIO_MONGO_URI name two different stores; unset one of them")
        if self.auth_enabled and not self.access_settings:
            raise ValueError("auth is enabled, but nothing says how callers are checked: set AGIO_JWT_SECRET or keys")
        if self.users and self.jwt_secret is None:
            raise ValueError(
                "AGIO_USERS names people who may log in; set AGIO_JWT_SECRET too, which signs their tokens"
            )
        if self.proxy_auth and not self.trust_proxy:
            raise ValueError("AGIO_PROXY_AUTH believes a proxy: name its address in AGIO_TRUST_PROXY")
        return self

    @property
    def store_url(self) -> str:
        """Where everything is kept; without a setting a SQLite file in the user's data folder."""
        return self.database_url or self.mongo_uri or f"sqlite:///{default_database_path()}"

    @property
    def accepts_anyone(self) -> bool:
        """Nothing says how callers would be checked, or checking is switched off."""
        return self.auth_enabled is False or not self.access_settings

    @property
    def access_settings(self) -> tuple[str, ...]:
        """Names of the fields that say how callers are checked, as far as they are set."""
        names = ("api_keys", "api_key", "bearer_tokens", "jwt_secret", "users", "proxy_auth")
        return tuple(name for name in names if getattr(self, name))

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """What stored provider keys are encrypted with, newest first."""
        return split_secrets(self.secret_key)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the one source, which reads the layers itself."""
        return (LayeredSource(settings_cls, init_settings(), getattr(dotenv_settings, "env_file", None)),)


def default_database_path() -> Path:
    """Return the file that is used when no setting names a store."""
    return platformdirs.user_data_path("agio", appauthor=False) / "agio.db"
