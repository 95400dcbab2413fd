"""The table of what A2A demands names tests that there are."""

import re

from tests.support.server import ROOT

PAGE = ROOT / "docs" / "a2a-musts.md"
HERE = "tests/contract/test_a2a_musts.py"


def test_every_test_that_the_table_names_is_there():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| [A-Z_]+-", line)]
    named = [re.findall(r"`(?:(tests/[\w/.]+)::)?(test_\w+)`", row) for row in rows]
    assert rows
    assert all(named), "a row without a test"
    for path, test in {(path or HERE, test) for row in named for path, test in row}:
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{test}"


def test_every_test_of_the_demands_is_in_the_table():
    text = PAGE.read_text(encoding="utf-8")
    for test in re.findall(r"^async def (test_\w+)\(", (ROOT / HERE).read_text(encoding="utf-8"), re.MULTILINE):
        assert f"`{test}`" in text, test
