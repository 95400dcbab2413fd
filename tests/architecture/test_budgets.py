"""Files and functions stay short enough to be read in one go."""

from pathlib import Path

from scripts.budgets import measure


def test_nothing_is_over_its_maximum():
    over = [f"{p.lines} lines (max {budget.maximum}): {p.name}" for budget in measure() for p in budget.over()]
    assert not over, "\n".join(over)


def test_long_file_and_long_function_are_found_and_generated_ones_left_out(tmp_path: Path):
    (tmp_path / "agio").mkdir()
    (tmp_path / "agio" / "long.py").write_text("def f():\n" + "    x = 1\n" * 60 + "\n" * 440)
    (tmp_path / "agio" / "made.py").write_text("# auto-generated\n" + "x = 1\n" * 900)
    over = [piece.name for budget in measure(tmp_path) for piece in budget.over()]
    assert over == ["agio/long.py", "agio/long.py:1 f"]


def test_empty_checkout_has_nothing_over(tmp_path: Path):
    assert next(b.summary() for b in measure(tmp_path)) == "source files: none"
