"""What a run spent."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one model call, as its provider counted them (0 where it did not say)."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cost: float | None = None
    """In US dollars, where the provider says it."""

    def plus(self, other: "Usage") -> "Usage":
        """Return the sum of both."""
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            total_tokens=self.total_tokens + other.total_tokens,
            cost=sum(costs) if costs else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Totals of a run up to a checkpoint or to its end."""

    steps: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cost: float | None = None
    duration_ms: int = 0
    """Time in which a worker executed it; rest does not count."""
    time_to_first_token_ms: int | None = None

    @property
    def usage(self) -> Usage:
        """The token part."""
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            total_tokens=self.total_tokens,
            cost=self.cost,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One call of a model, whatever came of it."""

    provider: str
    model: str
    outcome: str
    """`ok`, `stopped` (the run was paused, cancelled, …), or the code of the error."""
    duration_s: float
    first_token_s: float | None
    """Until the first piece of the answer; None: there was none."""
    usage: Usage
    finish: str | None = None
    """Why the answer ended, in the provider's word; None: it did not."""
