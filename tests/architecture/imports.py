"""Who imports whom in a package, read from the source: local and `TYPE_CHECKING` imports included."""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path


@cache
def read_imports(package: Path) -> dict[str, set[str]]:
    """Return `{module: {dotted name it imports}}` for every module under `package`.

    A name of this package is resolved to the module that it comes from: `from agio.domain import runs` is
    `agio.domain.runs` when that is a module. Names of other packages are cut to their top level.
    """
    files = {_module_name(path, package): path for path in sorted(package.rglob("*.py"))}
    own = package.name
    found: dict[str, set[str]] = {}
    for module, path in files.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found[module] = {
            _longest_module(name, files) if top == own else top
            for name in _imported(tree, module, is_package=path.name == "__init__.py")
            for top in [name.partition(".")[0]]
        } - {module}
    return found


def find_cycle(imports: dict[str, set[str]]) -> list[str]:
    """Return the modules of one import cycle, first and last the same, or an empty list."""
    own = {module: {target for target in targets if target in imports} for module, targets in imports.items()}
    try:
        TopologicalSorter(own).prepare()
    except CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle[::-1]
    return []


def _module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(tree: ast.Module, module: str, *, is_package: bool) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                parents = parents[: len(parents) - node.level + is_package]
                base = ".".join([*parents, base] if base else parents)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _longest_module(name: str, modules: dict[str, Path]) -> str:
    while name not in modules and "." in name:
        name = name.rpartition(".")[0]
    return name
