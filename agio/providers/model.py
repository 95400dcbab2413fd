"""A model at an OpenAI-compatible endpoint, as users name it in Python."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from agio.providers.presets import PRESETS, Preset

_NOT_IN_NAMES = re.compile(r"[^a-z0-9.]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIModel:
    """A model, where it is served, and which environment variable holds the key.

    The variable is read at every call, never here: the value holds no secret.
    """

    model_id: str
    base_url: str | None = None
    """Up to and including `/v1`; None: OpenAI's."""
    api_key_env_var: str | None = None
    """None: the preset's variables, or no key for an endpoint that no preset knows."""

    @property
    def provider_name(self) -> str:
        """Name of the provider that serves it: the same for the same endpoint and variable."""
        preset = self.preset
        if preset and (self.api_key_env_var is None or self.api_key_env_var in preset.key_names):
            return preset.name
        place = preset.name if preset else _place(self.base_url or "")
        return f"{place}-{_slug(self.api_key_env_var)}" if self.api_key_env_var else place

    @property
    def preset(self) -> Preset | None:
        """The preset whose endpoint this is, None when no preset knows it."""
        if self.base_url is None:
            return PRESETS["openai"]
        url = self.base_url.rstrip("/")
        return next((preset for preset in PRESETS.values() if preset.base_url == url), None)


def _place(base_url: str) -> str:
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/").removesuffix("/v1")
    return _slug(f"{parts.hostname or ''}-{parts.port or ''}-{path}")


def _slug(text: str) -> str:
    return _NOT_IN_NAMES.sub("-", text.lower()).strip("-")
