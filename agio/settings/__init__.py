"""Settings: `AGIO_*` variables, `.env` and a config file."""

from agio.settings.fields import NamedKey, Settings, User, default_database_path
from agio.settings.layers import Given
from agio.settings.loading import Variables, find_origins, load_settings
from agio.settings.texts import read_duration

__all__ = [
    "Given",
    "NamedKey",
    "Settings",
    "User",
    "Variables",
    "default_database_path",
    "find_origins",
    "load_settings",
    "read_duration",
]
