"""Agents, and the immutable snapshot of one that a run pins."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

PYTHON = "python"
"""The provider that agents written in Python name; their model is their function's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSnapshot:
    """Everything of an agent that decides what its model is asked. Stored once, by `digest`."""

    agent_id: str
    version: int
    provider: str
    """Name of a provider preset, or of a provider registered in Python."""
    model: str
    system_prompt: str | None = None
    tools: tuple[str, ...] = ()
    max_steps: int = 10
    planning_interval: int | None = None
    """Make or revise a plan before every n-th step; None: never."""
    temperature: float | None = None
    max_tokens: int | None = None
    """Upper bound of one answer, in tokens."""
    params: dict[str, Any] = field(default_factory=dict)
    """Further fields of the model request, handed on as they are."""
    api_key_name: str | None = None
    """The stored key that the provider is called with; None: whichever fits it."""

    @property
    def digest(self) -> str:
        """SHA-256 of the content, in hex."""
        content = asdict(self)
        if self.api_key_name is None:  # snapshots of earlier releases have no such field, and keep their digest
            del content["api_key_name"]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A named configuration that runs are started from."""

    id: str
    group_id: str
    name: str
    provider: str
    model: str
    description: str = ""
    system_prompt: str | None = None
    tools: tuple[str, ...] = ()
    max_steps: int = 10
    planning_interval: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    params: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    enabled: bool = True
    metadata: dict[str, Any] = field(default_factory=dict)
    role: str | None = None
    goal: str | None = None
    backstory: str | None = None
    llm: str | None = None
    allow_delegation: bool = False
    verbose: bool = False
    version: int = 1
    source: Literal["code", "api"] = "api"
    """`code`: registered in Python, read-only over the API."""
    created_at: datetime
    updated_at: datetime

    def snapshot(self) -> AgentSnapshot:
        """Return what a run started now would pin."""
        return AgentSnapshot(
            agent_id=self.id,
            version=self.version,
            provider=self.provider,
            model=self.model,
            system_prompt=self.system_prompt or self._persona(),
            tools=self.tools,
            max_steps=self.max_steps,
            planning_interval=self.planning_interval,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            params=self.params,
        )

    def _persona(self) -> str | None:
        parts = [
            f"You are {self.role}." if self.role else "",
            f"Your goal: {self.goal}" if self.goal else "",
            self.backstory or "",
        ]
        return "\n".join(part for part in parts if part) or None
