"""docs/contract.md says the truth about the suite."""

from pathlib import Path

from scripts.contract import PAGE, Item, page, read_items, read_marks, unknown


def test_table_is_not_stale_and_tests_name_items_that_there_are():
    items, marks = read_items(), read_marks()
    assert PAGE.read_text(encoding="utf-8") == page(items, marks), "run: python -m scripts.contract"
    assert unknown(items, marks) == []
    assert len({item.id for item in items}) == len(items) == 325


def test_marks_on_tests_and_on_their_parameters_are_found(tmp_path: Path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_x.py").write_text(
        "import pytest\n"
        '@pytest.mark.contract("K1", "C7")\n'
        '@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.contract("K2")), 2])\n'
        "def test_a(x): ...\n"
        '@pytest.mark.contract("K1")\nasync def test_b(): ...\n'
        '@pytest.mark.contract("K3")\ndef helper(): ...\n'
    )
    marks = read_marks(tmp_path)
    assert marks == {
        "K1": ["tests/test_x.py::test_a", "tests/test_x.py::test_b"],
        "C7": ["tests/test_x.py::test_a"],
        "K2": ["tests/test_x.py::test_a"],
    }
    assert unknown([Item(id="K1", text="", instead="")], marks) == ["K2"]


def test_rows_tell_tests_reasons_and_what_is_open():
    items = [Item(id=f"K{n}", text=f"item {n}", instead="documentation" if n == 2 else "") for n in (1, 2, 3)]
    text = page(items, {"K1": [f"tests/test_x.py::test_{n}" for n in range(5)]})
    assert "| K1 | item 1 | `test_x.py::test_0`<br>`test_x.py::test_1`<br>`test_x.py::test_2`<br>and 2 more |" in text
    assert "| K2 | item 2 | documentation |" in text
    assert "| K3 | item 3 | **open** |" in text
    assert "| Kawai | 3 | 1 | 1 | 1 |" in text
