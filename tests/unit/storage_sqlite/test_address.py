"""Which file a URL names."""

from pathlib import Path

import pytest

from agio.domain.errors import Unsupported
from agio.storage.port import StoreSettings
from agio.storage.sqlite import SQLiteStore
from agio.storage.sqlite.address import database_path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///agio.db", "agio.db"),
        ("sqlite:///data/agio.db", "data/agio.db"),
        ("sqlite:////var/lib/agio.db", "/var/lib/agio.db"),
        ("sqlite:///with space & #hash %41.db", "with space & #hash %41.db"),
    ],
)
def test_path_is_what_follows_the_third_slash(url: str, path: str):
    assert database_path(url) == Path(path)


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:agio.db", "sqlite:///a.db?mode=ro", "sqlite:///a/"]
)
def test_url_without_a_file_is_refused_by_name(url: str):
    with pytest.raises(Unsupported, match="sqlite:"):
        database_path(url)


def test_unknown_option_is_refused():
    with pytest.raises(Unsupported, match="lock_timeout"):
        SQLiteStore(StoreSettings(url="sqlite:///a.db", options={"lock_timeout": 3}))
