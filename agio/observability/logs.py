"""Logs: lines for people on a terminal, JSON lines elsewhere, and no secrets in either.

A log call has a constant message and its facts as `extra`: `log.info("took over a run", extra={"run_id": …})`.
"""

import json
import logging
import logging.config
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from agio.observability import context

Format = Literal["auto", "text", "json"]

_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_BASE_FIELDS = frozenset({"at", "level", "logger", "message", "exception"})

_LEFT_OUT = frozenset({"worker_id"})
"""The same on every line that a person sees on one terminal."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_SECRET_NAME = re.compile(
    r"(?:.*[_-])?(?:api[_-]?keys?|authorization|passw(?:or)?d|password[_-]hash|secret|secret[_-]key|token|cookie)",
    re.IGNORECASE,
)
_SECRETS = (
    # a key by its usual beginning
    (re.compile(r"\b(?:sk|pk|rk|gsk|xai|dapi|hf)[-_][\w*.\-]{6,}|\bAIza[\w\-]{10,}"), "***"),
    # a header or parameter that is named, with its value: `X-API-Key: abc`, `'authorization': 'Bearer abc'`
    (
        re.compile(
            r"((?:x-(?:llm-)?api-key|(?:proxy-)?authorization|api[_-]?key|access_token|\btoken|password)"
            r"""["']?\s*[:=]\s*(?:b(?=["']))?["']?)(?:(?:bearer|basic)\s+)?[^\s"',;&}\])]+""",
            re.IGNORECASE,
        ),
        r"\1***",
    ),
    (re.compile(r"\b(bearer)\s+[\w.~+/=\-]{8,}", re.IGNORECASE), r"\1 ***"),
    # the password in a URL; it may hold an @ that should have been encoded
    (re.compile(r"(\b[a-z][a-z0-9+.\-]*://[^\s:/@]*:)[^\s/]+@", re.IGNORECASE), r"\1***@"),
)


def scrub(text: str) -> str:
    """Return the text without what looks like a key, a credential in a header, or a password in a URL."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def setup_logging(level: str = "INFO", format: Format = "auto") -> None:
    """Send this process's logs to standard error, in place of what was set up before."""
    logging.config.dictConfig(log_config(level, format))


def log_config(level: str = "INFO", format: Format = "auto") -> dict[str, Any]:
    """Return the set-up as data, for `logging.config.dictConfig`, here or in a process to be started.

    Args:
        level: For Agio and the server; libraries log warnings and errors only.
        format: `auto` looks at standard error of the process that carries the set-up out.
    """
    number = 5 if level == "TRACE" else logging.getLevelNamesMapping()[level]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"context": {"()": f"{__name__}.make_context"}},
        "formatters": {"agio": {"()": f"{__name__}.make_formatter", "format": format}},
        "handlers": {
            "agio": {
                "class": "logging.StreamHandler",
                "formatter": "agio",
                "filters": ["context"],
                "stream": "ext://sys.stderr",
            }
        },
        "root": {"handlers": ["agio"], "level": "WARNING"},
        "loggers": {
            name: {"level": number, "handlers": [], "propagate": True}
            for name in ("agio", "uvicorn", "uvicorn.access", "uvicorn.error")
        },
    }


def make_context() -> logging.Filter:
    """Make what adds request, run and worker to each line."""
    return _Context()


def make_formatter(format: Format) -> logging.Formatter:
    """Make the formatter; `auto` decides by whether standard error is a terminal."""
    if format == "auto":
        format = "text" if sys.stderr.isatty() else "json"
    return TextFormatter() if format == "text" else JsonFormatter()


class TextFormatter(logging.Formatter):
    """`14:02:11.094 INFO    engine.worker: took over a run  run_id=… epoch=2`, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone()
        name = record.name.removeprefix("agio.")
        message = _visible(scrub(record.getMessage()))
        line = f"{at:%H:%M:%S}.{int(record.msecs):03d} {record.levelname:<7} {name}: {message}"
        facts = " ".join(f"{key}={_shown(value)}" for key, value in _facts(record).items() if key not in _LEFT_OUT)
        trace = _trace(record)
        shown = _visible(trace, keep="\n\t")
        return line + (f"  {facts}" if facts else "") + (f"\n{shown}" if shown else "")


class JsonFormatter(logging.Formatter):
    """One object a line: `at`, `level`, `logger`, `message`, the facts, and `exception` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": scrub(record.getMessage()),
        }
        line |= {f"{key}_" if key in _BASE_FIELDS else key: value for key, value in _facts(record).items()}
        if trace := _trace(record):
            line["exception"] = trace
        return json.dumps(line, ensure_ascii=False, default=str)


class _Context(logging.Filter):
    """Notes on each record what it is about, where and when it is made."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in context.present().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    return {key: _clean(value, key) for key, value in vars(record).items() if key not in _OWN_FIELDS}


def _clean(value: Any, name: str = "") -> Any:
    """Return the value as JSON can say it, without secrets."""
    if _SECRET_NAME.fullmatch(name) and value:
        return "***"
    match value:
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {str(key): _clean(inner, str(key)) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean(inner) for inner in value]
        case _:
            return scrub(str(value))


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return _visible(json.dumps(text, ensure_ascii=False) if re.search(r"\s", text) else text)


def _visible(text: str, *, keep: str = "") -> str:
    """Return the text with control characters spelled out: a caller's text must not begin a line, or colour it."""
    return _CONTROL.sub(lambda found: found[0] if found[0] in keep else f"\\x{ord(found[0]):02x}", text)


def _trace(record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(logging.Formatter().formatException(record.exc_info))
    if record.stack_info:
        parts.append(record.stack_info)
    return scrub("\n".join(parts))
