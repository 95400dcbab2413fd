"""Failures of an endpoint, told as `ProviderError`s that hold no key."""

import email.utils
import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx2
from openai import APIStatusError, OpenAIError

from agio.domain.errors import ProviderError

ENDPOINT_FAILURES = (OpenAIError, httpx2.HTTPError, httpx2.StreamError, aiohttp.ClientError, OSError)
"""What a call through the client can raise, apart from cancellation.

aiohttp's own errors come through where the transport of `openai` does not translate them.
"""

_TEXT_LIMIT = 300

_SECRETS = re.compile(
    r"""
    \b(?:sk|pk|rk|gsk|xai|dapi|hf)[-_][\w*.\-]{3,}  # usual beginnings of keys, masked ones too
    | \bAIza[\w\-]{10,}                             # Google
    | (?i:bearer)\s+(?=\S*\d)[\w.~+/=\-]{8,}
    | \S*\*{3,}\S*                                  # a masked echo of whatever was sent
    """,
    re.VERBOSE,
)

_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
# In this order: OpenAI, vLLM and DeepSeek; Anthropic; Gemini; llama.cpp; Groq.
_CONTEXT_TEXT = re.compile(
    r"maximum context length|context.length.exceeded|prompt is too long"
    r"|exceeds the maximum number of tokens|exceeds the available context size|context window"
    r"|reduce the length of the messages",
    re.IGNORECASE,
)

_CODES_IN_STREAM = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "request_too_large": 413,
}
"""Status that an error inside a 200 stream would have had, by its code or type."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Who failed, and which keys must not show."""

    name: str
    secrets: tuple[str, ...] = ()

    def from_exception(self, exc: BaseException) -> ProviderError:
        """Return the error for an exception of the client."""
        if isinstance(exc, APIStatusError):
            return self._from_status(exc.status_code, exc.body, exc.response.headers)
        causes = list(_causes(exc))
        # By cause, not by class: the transport reports every connection that the endpoint closed
        # before its headers as a connect timeout.
        if any(isinstance(cause, TimeoutError) for cause in causes):
            return self._error("the endpoint did not answer in time", "provider_timeout", True)
        reason = type(causes[-1]).__name__
        return self._error(f"connection failed ({reason})", "provider_unavailable", True)

    def from_read(self, exc: BaseException) -> ProviderError:
        """Return the error for an exception in the middle of an answer."""
        error = self.from_exception(exc)
        if error.code == "provider_unavailable":
            return self.broken("the connection broke in the middle of the answer")
        return error

    def from_stream(self, error: object) -> ProviderError:
        """Return the error for an error object inside a 200 answer."""
        _, code, kind = _fields(error)
        status = int(code) if code and code.isdecimal() and len(code) == 3 else None
        for name in (code, kind):
            status = status or _CODES_IN_STREAM.get(name or "")
        return self._from_status(status or 502, error, {}, in_stream=True)

    def broken(self, text: str) -> ProviderError:
        """Return the error for an answer that ended or went wrong in the middle."""
        return self._error(text, "provider_stream_broken", True)

    def refused(self, text: str) -> ProviderError:
        """Return the error for an answer that no repetition will improve."""
        return self._error(text, "provider_rejected", False)

    def _from_status(
        self, status: int, body: object, headers: Mapping[str, str], *, in_stream: bool = False
    ) -> ProviderError:
        text, code, kind = _fields(body)
        where = "error in the stream" if in_stream else f"HTTP {status}"
        error_code, retryable = _classify(status, code, kind, text)
        return self._error(f"{where}: {text}" if text else where, error_code, retryable, _retry_after(headers))

    def _error(self, text: str, code: str, retryable: bool, retry_after_s: float | None = None) -> ProviderError:
        text = scrub(text, self.secrets)
        if len(text) > _TEXT_LIMIT:
            text = text[:_TEXT_LIMIT] + "…"
        return ProviderError(f"{self.name}: {text}", code=code, retryable=retryable, retry_after_s=retry_after_s)


def scrub(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return the text without these keys, or anything that looks like one or its masked echo."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "***")
        if len(secret) >= 12:
            text = re.sub(re.escape(secret[:8]) + r"\S*", "***", text)
    return _SECRETS.sub("***", text)


def _classify(status: int, code: str | None, kind: str | None, text: str) -> tuple[str, bool]:
    """Return our code, and whether another call may help."""
    if status in (401, 403):
        return "provider_auth", False
    too_long = bool({code, kind} & _CONTEXT_CODES or _CONTEXT_TEXT.search(text))
    if too_long and status < 500 and status != 429:
        return "context_exceeded", False
    if status == 429:
        # An empty account stays empty.
        return "provider_rate_limited", "insufficient_quota" not in (code, kind)
    if status == 408 or status >= 500:
        return "provider_unavailable", True
    return "provider_rejected", False


def _fields(body: object) -> tuple[str, str | None, str | None]:
    """Return message, code and type of an error body, whatever its shape."""
    if isinstance(body, list) and body:  # Gemini wraps it in a list
        return _fields(body[0])
    if not isinstance(body, Mapping):
        return (_plain(body) if body else ""), None, None
    inner = body.get("error")
    if isinstance(inner, Mapping):
        return _fields(inner)
    message = inner or body.get("message") or body.get("detail") or ""
    text = message if isinstance(message, str) else json.dumps(message, default=str)
    metadata = body.get("metadata")
    if isinstance(metadata, Mapping) and isinstance(metadata.get("raw"), str):
        text = f"{text}: {metadata['raw']}"  # OpenRouter: what the vendor behind it said
    return _plain(text), _name(body.get("code")), _name(body.get("type") or body.get("status"))


def _plain(text: object) -> str:
    return " ".join(str(text).split())


def _name(value: Any) -> str | None:
    return None if value is None else str(value)


def _causes(exc: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = exc
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _retry_after(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    moment = email.utils.parsedate_tz(headers.get("retry-after", ""))
    return None if moment is None else max(0.0, email.utils.mktime_tz(moment) - time.time())
