"""Where the database file lies: the path that a URL names."""

from pathlib import Path

from agio.domain.errors import Unsupported

PREFIX = "sqlite:///"


def database_path(url: str) -> Path:
    """Return the path in `sqlite:///relative.db` or `sqlite:////absolute.db`; it is taken literally.

    Raises:
        Unsupported: the URL names no file.
    """
    if not url.startswith(PREFIX):
        raise Unsupported(f"{url!r} does not name a SQLite file; write sqlite:///relative.db or sqlite:////absolute.db")
    name = url.removeprefix(PREFIX)
    if name in ("", ":memory:"):
        raise Unsupported(f"{url!r} names no file; a store in memory could not be shared or survive")
    if "?" in name or "\0" in name or name.endswith("/"):
        raise Unsupported(f"{url!r} is not the path of a file; parameters are not taken")
    return Path(name)
