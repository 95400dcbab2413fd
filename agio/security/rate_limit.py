"""A limiter to use by itself, in one process."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

MOST_KEYS = 100_000


class RateLimiter:
    """Lets `max_requests` pass within any `window_seconds`, for each key by itself.

        limiter = RateLimiter(max_requests=10, window_seconds=60)
        if not limiter.is_allowed(user):
            raise HTTPException(429, "Rate limit exceeded")

    Counts in memory, exactly: each request takes its place until it is `window_seconds` old. Other processes count by
    themselves. May be used from several threads. Of more than `max_keys` keys the one that asked longest ago is
    forgotten.
    """

    def __init__(
        self,
        max_requests: int = 60,
        window_seconds: float = 60.0,
        *,
        max_keys: int = MOST_KEYS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_requests < 1 or window_seconds <= 0:
            raise ValueError("max_requests must be at least 1 and window_seconds more than 0")
        self.max_requests = max_requests
        self.window_seconds = window_seconds
        self._max_keys = max_keys
        self._clock = clock
        self._passed: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def is_allowed(self, key: str) -> bool:
        """Say whether one more may pass, and count it if so."""
        with self._lock:
            now = self._clock()
            passed = self._of(key, now)
            if len(passed) >= self.max_requests:
                return False
            passed.append(now)
            return True

    def remaining(self, key: str) -> int:
        """Return how many more may pass now."""
        with self._lock:
            return self.max_requests - len(self._of(key, self._clock()))

    def retry_after(self, key: str) -> float:
        """Return the seconds until one more may pass; 0: now."""
        with self._lock:
            now = self._clock()
            passed = self._of(key, now)
            return 0.0 if len(passed) < self.max_requests else passed[0] + self.window_seconds - now

    def _of(self, key: str, now: float) -> deque[float]:
        """Return what counts against the key, which moves to the end of those that may be forgotten."""
        passed = self._passed.get(key)
        if passed is None:
            passed = self._passed[key] = deque()
            self._forget(now)
        self._passed.move_to_end(key)
        while passed and passed[0] <= now - self.window_seconds:
            passed.popleft()
        return passed

    def _forget(self, now: float) -> None:
        """Forget the keys at the front that nothing counts against, and as many more as there are too many."""
        while len(self._passed) > 1:
            key, passed = next(iter(self._passed.items()))
            if len(self._passed) <= self._max_keys and passed and passed[-1] > now - self.window_seconds:
                return
            del self._passed[key]
