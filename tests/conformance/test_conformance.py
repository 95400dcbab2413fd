"""The conformance suite over every database that Agio brings an adapter for."""

import importlib
import inspect
import pkgutil

from agio.storage.port import RunStore, Store
from agio.storage.upkeep import Upkeep
from agio.testing.conformance import suite
from agio.testing.conformance.deeds import DEEDS
from agio.testing.conformance.suite import *  # noqa: F403 - the suite says what belongs to it


def test_every_class_of_the_suite_is_exported() -> None:
    modules = [importlib.import_module(f"{suite.__name__}.{m.name}") for m in pkgutil.iter_modules(suite.__path__)]
    classes = {name for module in modules for name, _ in inspect.getmembers(module, inspect.isclass)}
    assert {name for name in classes if name.startswith("Test")} == set(suite.__all__)


def test_every_write_of_the_port_is_a_deed() -> None:
    """A new method is a read by its name, or it belongs into `DEEDS`."""
    reads = ("get_", "list_", "read_", "count_", "find")
    known = {
        *("dependents", "head", "branch_end", "lineage", "session_checkpoints", "last_checkpoint"),
        *("living", "workers", "commands", "owned", "heads", "hints", "open", "close", "ping", "get"),
        *("ended_runs", "uncompacted_runs"),
    }
    calls = {
        name
        for protocol in (*Store.__mro__, RunStore, Upkeep)
        for name, member in vars(protocol).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }
    writes = {name for name in calls if not name.startswith(reads)} - known
    assert writes == {prepare.__name__ for prepare in DEEDS} - {"append_an_end"}
