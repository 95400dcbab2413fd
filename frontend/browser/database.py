"""The database of the browser suite, as a process that ends with its standard input.

`python -m frontend.browser.database sqlite|mongodb FOLDER` prints a line of JSON: `{"variables": {…}}` of the server's
environment, or `{"missing": "…"}`. Every line on standard input is answered with the process ids of the workers on
record, by worker id.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.databases import Database, MongoDatabase, SQLiteFile
from tests.support.mongod import ReplicaSet, find_mongod, fresh_database, mongod_is_required, running


@contextmanager
def opened(store: str, folder: Path) -> Iterator[Database | None]:
    """Give a database that nobody used before; None where there is no mongod, and none is required."""
    if store == "sqlite":
        yield SQLiteFile(folder / "agio.db")
        return
    binary = find_mongod()
    if binary is None:
        if mongod_is_required(os.environ):
            raise SystemExit("there is no mongod here, and AGIO_REQUIRE_MONGO asks for one")
        yield None
        return
    with running(ReplicaSet(binary)) as server, fresh_database(server) as uri:
        yield MongoDatabase(uri)


def say(answer: Any) -> None:
    """Print a line of JSON."""
    print(json.dumps(answer), flush=True)


def main() -> None:
    """Serve until standard input ends."""
    store, folder = sys.argv[1:]
    with opened(store, Path(folder)) as database:
        if database is None:
            say({"missing": "there is no mongod here"})
            return
        say({"variables": dict(database.variables)})
        for _ in sys.stdin:
            say(database.workers())


if __name__ == "__main__":
    main()
