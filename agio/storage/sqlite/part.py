"""What every part of the store stands on."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

from agio.storage.sqlite.database import Database

Clock: TypeAlias = Callable[[], datetime]


class Part:
    """One noun of the store. All parts share its database."""

    _database: Database
    _clock: Clock
    """For instants that people read; those that decide something come from the database."""
    _inline_limit: int
    """Bytes; a larger part of an entry goes into chunks."""
