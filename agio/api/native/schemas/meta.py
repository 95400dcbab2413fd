"""Health and facts about the installation on the wire."""

from typing import Literal

from pydantic import ConfigDict, Field

from agio.api.native.schemas.common import Instant, View


class HealthView(View):
    """The server answers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"status": "healthy", "version": "0.1.0", "timestamp": "2026-11-21T12:00:00.000Z"}]
        }
    )

    status: Literal["healthy"] = "healthy"
    version: str
    timestamp: Instant
    components: dict[str, str] | None = Field(default=None, description="How its parts are; only where asked for.")


class PlainHealthView(View):
    """The process runs."""

    status: Literal["healthy"] = "healthy"
    version: str
    timestamp: Instant
    sessions: int = Field(description="Sessions used within the session timeout, of the whole installation.")
    uptime: float = Field(description="Seconds since the process loaded the application.")


class ReadinessView(View):
    """Whether requests should be sent here."""

    status: Literal["ready", "not_ready"]
    components: dict[str, str] | None = Field(default=None, description="How its parts are; only where asked for.")


class DocsView(View):
    """Where the API is described; null where that is switched off."""

    swagger: str | None = Field(examples=["/docs"])
    redoc: str | None = Field(examples=["/redoc"])
    openapi: str | None = Field(examples=["/openapi.json"])


class InfoView(View):
    """What a client may want to know before it shows anything."""

    version: str
    store: str = Field(examples=["sqlite"])
    hint_source: str = Field(
        description="How workers hear of each other: `change_stream`, `data_version`, or `none` (they poll).",
        examples=["data_version"],
    )
    features: dict[str, bool] = Field(description="What is switched on.", examples=[{"fork": True}])
    default_agent: str = Field(examples=["assistant"])
    provider: str | None = Field(description="The default agent's.", examples=["demo"])
    model: str | None = Field(description="The default agent's.", examples=["demo"])
    providers: list[str] = Field(description="Real models' providers that are set up.", examples=[["openai"]])
    provider_configured: bool = Field(description="There is one.")
    demo: bool = Field(description="The default agent's answers come from the built-in demo provider.")
    docs: DocsView
