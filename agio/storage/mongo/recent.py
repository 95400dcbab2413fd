"""A bounded memory of keys."""

import time
from collections import OrderedDict

MEMORY_S = 600.0
"""Seconds; far less than what is unused is kept (`garbage.YOUNG_S`)."""


class Recent:
    """The keys added last, up to a number of them, for some minutes."""

    def __init__(self, size: int = 4096) -> None:
        self._size = size
        self._keys: OrderedDict[str, float] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        added_at = self._keys.get(key)
        return added_at is not None and time.monotonic() - added_at < MEMORY_S

    def add(self, key: str) -> None:
        self._keys[key] = time.monotonic()
        self._keys.move_to_end(key)
        if len(self._keys) > self._size:
            self._keys.popitem(last=False)
