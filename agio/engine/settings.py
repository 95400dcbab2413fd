"""How the engine behaves; built once by the composition root."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agio.engine.caretaker import UpkeepSettings
from agio.engine.dispatch import WebhookSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """All times in seconds."""

    lease_s: float = 10.0
    """A worker that has not beaten for so long counts as dead."""
    local_takeover: bool = True
    """A worker of the same machine whose process is gone counts as dead at once, not when its lease has run out."""
    scan_s: float = 1.0
    """How often a worker looks for runs to claim when nothing woke it."""
    drain_s: float = 10.0
    """How long a stopping worker lets steps finish before it hands its runs over."""
    sweep_s: float = 5.0
    """How often a worker looks for what a crash between two writes may have left."""
    runs_per_worker: int = 500
    runs_per_group: int | None = None
    """Runs of one group that all workers together execute at once; None: no limit."""
    runs_of_groups: Mapping[str, int] = field(default_factory=dict)
    """The same of certain groups, in its place."""
    max_claims: int = 5
    """Claims after a crash without progress before a run is left `interrupted`."""
    on_restart: Literal["resume", "cancel"] = "resume"
    """What happens to a run whose worker died."""
    provider_attempts: int = 5
    """Model calls per step, the first included, before a retryable failure ends the run."""
    retry_base_s: float = 0.5
    """First wait before a model call is repeated; doubles each time, with jitter."""
    retry_cap_s: float = 30.0
    schedule_s: float = 1.0
    """How often a worker looks for schedules that are due."""
    poll_s: float = 0.05
    """How often remote journals are read while no hint source exists."""
    queue_entries: int = 256
    """Entries that wait for one slow reader in memory; beyond, it reads from the store."""

    upkeep: UpkeepSettings = field(default_factory=UpkeepSettings)
    """What becomes of runs after their end."""
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    """How those are told who want to hear of it."""

    @property
    def beat_s(self) -> float:
        """Time between two beats."""
        return self.lease_s / 3

    @property
    def silence_s(self) -> float:
        """Time without a beat of its own after which a worker cannot tell whether others live."""
        return self.lease_s / 2
