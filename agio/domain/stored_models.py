"""Models that a group has given names of its own: which provider serves them, with which parameters and key. Pure."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from agio.domain.agents import AgentSnapshot

SNAPSHOT_FIELDS = ("temperature", "max_tokens")
"""Parameters that an agent has fields of its own for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A name that agents, crews and runs may give in place of a provider's model."""

    id: str
    """Its name, unique in the group."""
    group_id: str
    provider: str
    model: str
    """As the provider knows it."""
    api_key_name: str | None = None
    """The stored key that it is called with; None: whichever key fits the provider."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """`temperature`, `max_tokens`, and further fields of the model request; what an agent says itself comes first."""
    created_by: str = "anonymous"
    created_at: datetime
    updated_at: datetime

    @property
    def name(self) -> str:
        """What agents call it."""
        return self.id

    def apply(self, snapshot: AgentSnapshot) -> AgentSnapshot:
        """Return the snapshot of an agent that names this model as what its provider is asked."""
        rest = {name: value for name, value in self.parameters.items() if name not in SNAPSHOT_FIELDS}
        own: dict[str, Any] = {
            name: self.parameters.get(name) if getattr(snapshot, name) is None else getattr(snapshot, name)
            for name in SNAPSHOT_FIELDS
        }
        return replace(
            snapshot,
            provider=self.provider,
            model=self.model,
            api_key_name=self.api_key_name,
            params=rest | snapshot.params,
            **own,
        )
