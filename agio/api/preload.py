"""Imported by the process that a server's workers are forked from: what they all need is there before they are.

It leaves nothing behind that a fork would break: no thread, no connection, no open file.
"""

import gc
from contextlib import suppress

import agio.bootstrap.protocol  # noqa: F401 - uvicorn imports it by name
from agio.api.app import create_app
from agio.api.routes import work_out
from agio.domain.errors import AgioError
from agio.settings import load_settings

with suppress(AgioError):  # each worker will say so itself
    # Figures and spans are a process's own.
    work_out(create_app(load_settings(metrics_enabled=False, traces_enabled=False)))
gc.collect()
gc.freeze()  # pages that no collection touches stay shared
