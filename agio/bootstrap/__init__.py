"""The composition root: the only place that names adapters, and what is started from it."""

from agio.bootstrap.access import make_access
from agio.bootstrap.agents import DeclaredAgent
from agio.bootstrap.assembly import make_engine, make_providers, make_store, make_tools
from agio.bootstrap.runtime import Runtime, make_runtime, running
from agio.bootstrap.serving import find_ui

__all__ = [
    "DeclaredAgent",
    "Runtime",
    "find_ui",
    "make_access",
    "make_engine",
    "make_providers",
    "make_runtime",
    "make_store",
    "make_tools",
    "running",
]
