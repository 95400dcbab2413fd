"""Hold the budgets on the length of files and functions; show medians and 90th percentiles.

Exits 1 when something is over its maximum. Files that say that they are generated are left out.
"""

import ast
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ("agio", "benchmarks", "examples", "scripts")
SKIPPED = {"node_modules", "dist", "coverage", "__pycache__"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A file or a function, and how many lines it has."""

    name: str
    lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What pieces of one kind may measure: the maximum binds, median and p90 are aims."""

    kind: str
    pieces: list[Piece]
    maximum: int
    p90: int | None = None
    median: int | None = None

    def over(self) -> list[Piece]:
        return sorted((p for p in self.pieces if p.lines > self.maximum), key=lambda p: -p.lines)

    def summary(self) -> str:
        if not self.pieces:
            return f"{self.kind}: none"
        lines = sorted(p.lines for p in self.pieces)
        p90 = lines[min(len(lines) - 1, len(lines) * 9 // 10)]
        found = {"median": (statistics.median_low(lines), self.median), "p90": (p90, self.p90)}
        aims = ", ".join(f"{what} {n}" + (f" (aim {aim})" if aim else "") for what, (n, aim) in found.items())
        return f"{self.kind}: {len(lines)}, {aims}, longest {lines[-1]} (max {self.maximum})"


def measure(root: Path = ROOT) -> list[Budget]:
    """Return every budget with what was measured under `root`."""
    source = [path for folder in PYTHON for path in _files(root / folder, ".py")]
    tests = list(_files(root / "tests", ".py"))
    page = [*_files(root / "frontend", ".ts"), *_files(root / "frontend", ".tsx")]
    return [
        Budget(kind="source files", pieces=_sizes(source, root), maximum=500, p90=350, median=150),
        Budget(kind="functions", pieces=_functions(source, root), maximum=60, p90=32, median=10),
        Budget(kind="test files", pieces=_sizes(tests, root), maximum=600),
        Budget(kind="test functions", pieces=_functions(tests, root), maximum=60),
        Budget(kind="UI files", pieces=_sizes(page, root), maximum=400, p90=220),
    ]


def _files(folder: Path, suffix: str) -> Iterator[Path]:
    for path in sorted(folder.rglob(f"*{suffix}")):
        if not SKIPPED & set(path.parts) and not _generated(path):
            yield path


def _generated(path: Path) -> bool:
    head = path.read_text(encoding="utf-8")[:400].lower()
    return "auto-generated" in head or "@generated" in head


def _sizes(paths: list[Path], root: Path) -> list[Piece]:
    return [Piece(name=str(p.relative_to(root)), lines=len(p.read_text(encoding="utf-8").splitlines())) for p in paths]


def _functions(paths: list[Path], root: Path) -> list[Piece]:
    """Return each function with its docstring, decorators not counted."""
    return [
        Piece(
            name=f"{path.relative_to(root)}:{node.lineno} {node.name}",
            lines=node.end_lineno - node.lineno + 1,
        )
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]


def main() -> int:
    budgets = measure()
    for budget in budgets:
        sys.stdout.write(budget.summary() + "\n")
        for piece in budget.over():
            sys.stdout.write(f"  OVER {piece.lines:5d}  {piece.name}\n")
    return 1 if any(budget.over() for budget in budgets) else 0


if __name__ == "__main__":
    sys.exit(main())
