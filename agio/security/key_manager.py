"""Keys of model providers by user, in the memory of this process: for programs that embed Agio."""

import threading
from collections.abc import Callable


class LLMKeyConfigManager:
    """Holds keys for users' runs in this process; every instance sees the same ones.

        LLMKeyConfigManager().set_key(user_id="ann", api_key="sk-…", provider="openai")

    They come before those that are kept in the database, and after a key that came with the request. May be used from
    several threads.
    """

    _keys: dict[str, dict[str | None, str]] = {}  # noqa: RUF012 - one for all instances is what it is for
    _lock = threading.Lock()

    def set_key(self, user_id: str, api_key: str, provider: str | None = None) -> None:
        """Hold a key for a user's runs; None: for whichever provider they call. Others of the user stay.

        Raises:
            ValueError: the user or the key is empty.
        """
        if not user_id or not api_key:
            raise ValueError("name a user and a key")
        with self._lock:
            self._keys.setdefault(user_id, {})[_name(provider)] = api_key

    def get_key(self, user_id: str, provider: str | None = None) -> str | None:
        """Return the key that was set for the user and that provider; None: there is none."""
        with self._lock:
            return self._keys.get(user_id, {}).get(_name(provider))

    def has_key(self, user_id: str, provider: str | None = None) -> bool:
        """Say whether one was set."""
        return self.get_key(user_id, provider) is not None

    def delete_key(self, user_id: str, provider: str | None = None) -> bool:
        """Forget one; say whether there was one."""
        with self._lock:
            return self._keys.get(user_id, {}).pop(_name(provider), None) is not None

    def find(self, user_id: str, provider: str, canonical: Callable[[str], str]) -> str | None:
        """Return the key for a call of a provider: the one set for it, else the one for any."""
        with self._lock:
            own = self._keys.get(user_id, {})
            named = (key for name, key in own.items() if name is not None and canonical(name) == provider)
            return next(named, own.get(None))


def _name(provider: str | None) -> str | None:
    return provider.strip().lower() if provider is not None else None
