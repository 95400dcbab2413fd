"""Databases of servers under test, looked at from outside."""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pymongo import MongoClient


class Database(Protocol):
    """Where a cluster keeps everything."""

    @property
    def variables(self) -> dict[str, str]:
        """What names it to a server."""
        ...

    def workers(self) -> dict[str, int]:
        """Return the process ids of the workers on record by the workers' ids, dead ones included."""
        ...

    def owned(self) -> dict[str, list[str]]:
        """Return the runs that have an owner, by the owner's id."""
        ...


@dataclass(frozen=True, slots=True)
class SQLiteFile:
    """A database in a file."""

    path: Path

    @property
    def variables(self) -> dict[str, str]:
        return {"AGIO_DATABASE_URL": f"sqlite:///{self.path}"}

    def workers(self) -> dict[str, int]:
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as db:
            return {row[0]: int(json.loads(row[1])["pid"]) for row in db.execute("SELECT id, about FROM workers")}
        return {}

    def owned(self) -> dict[str, list[str]]:
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as db:
            return _grouped(db.execute("SELECT owner, id FROM runs WHERE owner IS NOT NULL"))


@dataclass(frozen=True, slots=True)
class MongoDatabase:
    """A database on a replica set."""

    uri: str

    @property
    def variables(self) -> dict[str, str]:
        return {"AGIO_MONGO_URI": self.uri}

    def workers(self) -> dict[str, int]:
        with MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=5_000) as client:
            found = client.get_default_database()["workers"].find()
            return {each["_id"]: int(each["about"]["pid"]) for each in found}

    def owned(self) -> dict[str, list[str]]:
        with MongoClient[dict[str, Any]](self.uri, serverSelectionTimeoutMS=5_000) as client:
            found = client.get_default_database()["runs"].find({"owner": {"$gt": ""}}, {"owner": 1})
            return _grouped((each["owner"], each["_id"]) for each in found)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
