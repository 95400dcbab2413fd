"""Which part of Agio may know which other part."""

import sys
from pathlib import Path

import pytest

from tests.architecture.imports import find_cycle, read_imports

PACKAGE = Path(__file__).resolve().parents[2] / "agio"

#: Layer: the layers that it may import besides itself. A module belongs to the longest name here that starts
#: its own; `storage`, say, is what lies directly under agio/storage and is not the port.
ALLOWED: dict[str, set[str]] = {
    # pure data and rules
    "domain": set(),
    # where tests make a process die
    "crashes": set(),
    # ports, and what their adapters share
    "storage.port": {"storage.upkeep", "domain"},
    "storage.upkeep": {"domain"},
    "storage": {"storage.port", "domain"},
    "providers.base": {"domain"},
    "tools": {"domain"},
    # adapters: named by bootstrap alone
    "storage.sqlite": {"storage.port", "storage.upkeep", "storage", "domain", "crashes"},
    "storage.mongo": {"storage.port", "storage.upkeep", "storage", "domain", "crashes"},
    "providers": {"providers.base", "domain"},
    "tools.builtin": {"tools", "domain"},
    "tools.mcp": {"tools", "domain"},
    # use cases
    "engine": {"storage.port", "storage", "providers.base", "tools", "domain", "crashes"},
    # around them
    "settings": {"domain"},
    "security": {"storage.port", "domain"},
    "observability": {"domain"},
    "client": {"domain"},
    # edges
    "api": {"engine", "security", "observability", "settings", "domain", "crashes"},
    "cli": {"engine", "security", "observability", "settings", "domain", "client", "bootstrap"},
    # what a server or a person starts
    "api.app": {"api", "bootstrap", "settings", "observability", "tools", "domain"},
    "api.preload": {"api", "api.app", "bootstrap", "settings", "domain"},
    "__main__": {"cli"},
}

#: The composition root, and the doubles and suites that tests of other projects may use too.
SEES_EVERYTHING = {"bootstrap", "testing"}

#: The package itself, `import agio`: the public names. Everyone may import it (its version), hence so little.
PUBLIC_NAMES_FROM = {"client", "tools", "domain"}

#: Layers that import nothing but the standard library and Agio's own modules.
STANDARD_LIBRARY_ONLY = {"domain", "crashes", "storage.port", "storage.upkeep", "providers.base"}

#: What only certain layers may know.
AT_HOME: dict[str, set[str]] = {
    "sqlite3": {"storage.sqlite"},
    "pymongo": {"storage.mongo"},
    "bson": {"storage.mongo"},
    "gridfs": {"storage.mongo"},
    "openai": {"providers"},
    "opentelemetry": {"observability"},
    "prometheus_client": {"observability"},
    "fastapi": {"api", "api.app"},
    "starlette": {"api", "api.app"},
    "sse_starlette": {"api", "api.app"},
    "typer": {"cli"},
    "cronsim": {"engine"},
}


def layer_of(module: str) -> str:
    """Return the layer of a module of Agio; an empty string is the package itself."""
    name = module.partition(".")[2]
    known = ALLOWED.keys() | SEES_EVERYTHING
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def may_import(source: str, target: str) -> bool:
    """Say whether a module of layer `source` may import one of layer `target`."""
    if source in SEES_EVERYTHING or target in ("", source):
        return True
    return target in (PUBLIC_NAMES_FROM if source == "" else ALLOWED[source])


IMPORTS = read_imports(PACKAGE)


def test_every_module_belongs_to_a_layer():
    homeless = [m for m in IMPORTS if layer_of(m) == "" and m != "agio" and not m.startswith("agio._")]
    assert not homeless, f"name their layer in ALLOWED: {homeless}"


def test_imports_go_the_allowed_directions():
    wrong = [
        f"{module} (layer {layer_of(module)!r}) imports {target} (layer {layer_of(target)!r})"
        for module, targets in IMPORTS.items()
        for target in sorted(targets)
        if target.split(".")[0] == "agio" and not may_import(layer_of(module), layer_of(target))
    ]
    assert not wrong, "\n".join(wrong)


def test_inner_layers_need_the_standard_library_only():
    wrong = [
        f"{module} imports {target}"
        for module, targets in IMPORTS.items()
        if layer_of(module) in STANDARD_LIBRARY_ONLY
        for target in sorted(targets)
        if target.split(".")[0] not in sys.stdlib_module_names | {"agio"}
    ]
    assert not wrong, "\n".join(wrong)


def test_each_library_is_known_at_its_home_only():
    wrong = [
        f"{module} imports {target}; only {sorted(AT_HOME[target])} may"
        for module, targets in IMPORTS.items()
        for target in sorted(targets & AT_HOME.keys())
        if layer_of(module) not in AT_HOME[target] | SEES_EVERYTHING
    ]
    assert not wrong, "\n".join(wrong)


def test_there_is_no_import_cycle():
    cycle = find_cycle(IMPORTS)
    assert not cycle, " → ".join(cycle)


@pytest.mark.parametrize(
    ("source", "target", "allowed"),
    [
        ("agio.engine.runs", "agio.storage.port", True),
        ("agio.bootstrap", "agio.storage.mongo.journal", True),
        ("agio.engine.runs", "agio.storage.mongo.journal", False),
        ("agio.storage.sqlite", "agio.storage.mongo", False),
        ("agio.api.native.chat", "agio.storage.port", False),
        ("agio.tools", "agio.tools.builtin.clock", False),
        ("agio.api.native.chat", "agio.bootstrap", False),
        ("agio.api.app", "agio.bootstrap", True),
        ("agio.domain.runs", "agio.settings", False),
    ],
)
def test_the_table_means_what_it_says(source: str, target: str, allowed: bool):
    assert may_import(layer_of(source), layer_of(target)) is allowed


def test_imports_are_found_wherever_they_stand(tmp_path: Path):
    package = tmp_path / "agio"
    (package / "domain").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "domain" / "__init__.py").write_text("from agio.domain.runs import Run\n")
    (package / "domain" / "runs.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from agio.domain import steps\n"
        "def late():\n    import json.decoder\n    from .steps import Step\n"
    )
    (package / "domain" / "steps.py").write_text("from agio.domain.runs import Run\n")
    imports = read_imports(package)
    assert imports["agio.domain.runs"] == {"typing", "json", "agio.domain.steps"}
    assert imports["agio.domain"] == {"agio.domain.runs"}
    assert set(find_cycle(imports)) == {"agio.domain.runs", "agio.domain.steps"}
