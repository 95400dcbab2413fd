"""Neighbours' wires: one folder each, found by name; a folder that is deleted is not missed.

A folder holds wire types, pure conversions and thin routes over the engine, and offers `install`. Nothing outside
imports it.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Protocol, cast

from fastapi import FastAPI

from agio.domain.errors import Invalid


class Wire(Protocol):
    """What a folder offers."""

    def install(self, app: FastAPI) -> None:
        """Add the wire's routes and its tag."""
        ...


def known_wires() -> list[str]:
    """Return the names of the wires that are there."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.ispkg)


def install(app: FastAPI, wanted: Sequence[str] | None) -> None:
    """Serve the wires of these names; None: all there are.

    Raises:
        Invalid: there is no wire of a name.
    """
    known = known_wires()
    for name in known if wanted is None else wanted:
        if name not in known:
            raise Invalid(f"there is no wire {name!r}; there are: {', '.join(known) or 'none'}", field="wires")
        cast(Wire, importlib.import_module(f"{__name__}.{name}")).install(app)
