"""Agio: run control for LLM agents. Durable runs with pause, resume, cancel, and restore or fork from any checkpoint.

    from agio import Agent, tool

    print(Agent("Helper").run("What is 6 times 7?"))

Names are imported when they are first used, for `import agio` alone must not cost a web framework and a database
driver. What type checkers read is `__init__.pyi`.
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "Agent": "agio.bootstrap.agent",
    "AgioError": "agio.domain.errors",
    "LLMKeyConfigManager": "agio.security",
    "OpenAIModel": "agio.providers.model",
    "Part": "agio.domain.parts",
    "Rejected": "agio.providers.python",
    "RunFailed": "agio.bootstrap.embedded",
    "RunResult": "agio.bootstrap.embedded",
    "Settings": "agio.settings",
    "ToolContext": "agio.tools",
    "ToolError": "agio.domain.errors",
    "Turn": "agio.providers.python",
    "WebSearchTool": "agio.tools.builtin",
    "RateLimiter": "agio.security",
    "add_auth_middleware": "agio.api.access",
    "add_rate_limit_middleware": "agio.api.rate_limits",
    "create_app": "agio.api.app",
    "sse_stream": "agio.api.text_stream",
    "tool": "agio.tools",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
