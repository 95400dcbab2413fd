"""The conformance suite over every database that Agio brings an adapter for."""

import importlib
import inspect
import pkgutil

from agio.testing.conformance import suite
from agio.testing.conformance.suite import *  # noqa: F403 - the suite says what belongs to it


def test_every_class_of_the_suite_is_exported() -> None:
    modules = [importlib.import_module(f"{suite.__name__}.{m.name}") for m in pkgutil.iter_modules(suite.__path__)]
    classes = {name for module in modules for name, _ in inspect.getmembers(module, inspect.isclass)}
    assert {name for name in classes if name.startswith("Test")} == set(suite.__all__)
