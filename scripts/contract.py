"""Write docs/contract.md: which test shows which item of the contract. `--check` only says whether it is stale.

The items stand in scripts/contract_items.tsv. A test names those that it shows: `@pytest.mark.contract("K13")`.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ITEMS = ROOT / "scripts" / "contract_items.tsv"
PAGE = ROOT / "docs" / "contract.md"
SECTIONS = {
    "K": "Kawai",
    "F": "Firefly",
    "A": "Agio",
    "P": "aipartnerupflow",
    "S": "Kasal",
}
OTHERS = ("C", "D")
"""Rows of the conflict register and the design card; tests may name them, they have no table of their own."""
SHOWN = 3
"""How many tests a row names."""
HEAD = """# Contract

Agio promises what five documents promise: its own and those of four neighbours, whose clients move in unchanged. This
table says which test shows which item; `python -m scripts.contract` makes it from the marks in the suite. An item that
no test shows yet is **open**.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One promise."""

    id: str
    text: str
    instead: str
    """Why there is no test; empty: there is to be one."""


def read_items(path: Path = ITEMS) -> list[Item]:
    """Return the items in their order."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return [Item(id=row[0], text=row[1], instead=row[2] if len(row) > 2 else "") for row in rows]


def read_marks(root: Path = ROOT) -> dict[str, list[str]]:
    """Return `{item: tests that show it}`, the tests as pytest names them."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name, item in _marked(tree):
            tests = found.setdefault(item, [])
            test = f"{path.relative_to(root).as_posix()}::{name}"
            if test not in tests:
                tests.append(test)
    return found


def _marked(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield `(test, item)` for every mark on a test or on one of its parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            for decorator in node.decorator_list:
                for call in ast.walk(decorator):
                    if isinstance(call, ast.Call) and getattr(call.func, "attr", None) == "contract":
                        yield from ((node.name, str(arg.value)) for arg in call.args if isinstance(arg, ast.Constant))


def unknown(items: list[Item], marks: dict[str, list[str]]) -> list[str]:
    """Return the items that tests name and that are none."""
    known = {item.id for item in items}
    return sorted(mark for mark in marks if mark not in known and mark[:1] not in OTHERS)


def page(items: list[Item], marks: dict[str, list[str]]) -> str:
    """Return the page."""
    parts = [HEAD, _counts(items, marks)]
    for letter, name in SECTIONS.items():
        rows = [_row(item, marks) for item in items if item.id.startswith(letter)]
        parts.append("\n".join([f"## {name} ({letter})\n", "| id | item | shown by |", "|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _counts(items: list[Item], marks: dict[str, list[str]]) -> str:
    rows = ["| | items | shown by tests | instead of a test | open |", "|---|---|---|---|---|"]
    for letter, name in SECTIONS.items():
        mine = [item for item in items if item.id.startswith(letter)]
        shown = sum(item.id in marks for item in mine)
        other = sum(item.id not in marks and bool(item.instead) for item in mine)
        rows.append(f"| {name} | {len(mine)} | {shown} | {other} | {len(mine) - shown - other} |")
    return "\n".join(rows) + "\n"


def _row(item: Item, marks: dict[str, list[str]]) -> str:
    tests = marks.get(item.id, [])
    named = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in tests[:SHOWN])
    more = f"<br>and {len(tests) - SHOWN} more" if len(tests) > SHOWN else ""
    return f"| {item.id} | {item.text} | {named + more or item.instead or '**open**'} |"


def main() -> None:
    """Write the page, or check it."""
    items, marks = read_items(), read_marks()
    if strange := unknown(items, marks):
        sys.exit(f"tests name items that are none: {', '.join(strange)}")
    made = page(items, marks)
    if "--check" in sys.argv[1:]:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != made:
            sys.exit("docs/contract.md is stale; run: python -m scripts.contract")
        return
    PAGE.write_text(made, encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(items)} items, {sum(item.id in marks for item in items)} shown by tests")


if __name__ == "__main__":
    main()
