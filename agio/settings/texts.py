"""What single settings may say: readers of JSON and lists, and checks. Each raises `ValueError`."""

import json
import re
import shlex
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

from pydantic import SecretStr

MIN_JWT_BYTES = 32
DAY_S = 86_400
SUPPORTED = "sqlite:///relative.db, sqlite:////absolute.db, mongodb://… and mongodb+srv://…"

SECONDS_OF = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}


def read_json(value: Any) -> Any:
    """Decode a text as JSON; anything else is taken as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError("must be JSON") from error


def read_list(value: Any) -> Any:
    """Decode a text as a JSON list, or split it at its commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return read_json(value)
    return [part.strip() for part in value.split(",") if part.strip()]


def check_allowed_hosts(entries: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what is neither a name nor an address nor a network."""
    for entry in entries:
        if "/" in entry or ":" in entry:
            ip_network(entry)
    return entries


def check_commands(entries: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what a shell could not split into words, and what would allow any program."""
    for entry in entries:
        if shlex.split(entry)[:1] in ([], ["*"]):
            raise ValueError("each names a program, with its arguments")
    return entries


def fold_level(value: Any) -> Any:
    """Put a log level into upper case."""
    return value.strip().upper() if isinstance(value, str) else value


def check_database_url(url: str | None) -> str | None:
    """Refuse a URL of a kind that Agio cannot use, or that names no file."""
    if url is None:
        return None
    kind = url.partition("://")[0] if "://" in url else ""
    if kind in ("mongodb", "mongodb+srv"):
        return url
    if kind != "sqlite":
        said = f"{kind!r} is no kind of database" if kind else "this is no URL of a database"
        raise ValueError(f"{said} that Agio can use; it supports {SUPPORTED}")
    path = url.removeprefix("sqlite:///")
    if path == url or path in ("", ":memory:"):
        raise ValueError(f"a SQLite URL must name a file, for a store in memory would not survive: {SUPPORTED}")
    return url


def check_mongo_uri(uri: str | None) -> str | None:
    """Refuse anything but a MongoDB URI."""
    if uri is not None and not uri.startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("must start with mongodb:// or mongodb+srv://")
    return uri


def read_duration(value: Any) -> Any:
    """Read `<number><unit>`; a number alone is seconds."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)?", value.strip())
    if found is None:
        raise ValueError("must be a number with s, m, h, d or w behind it, such as 30d")
    return timedelta(seconds=float(found[1]) * SECONDS_OF[found[2] or "s"])


def check_rate_limit(text: str | None) -> str | None:
    """Refuse anything but `<count>/<seconds>`."""
    if text is not None and not re.fullmatch(r"[1-9]\d*/(?!0+(?:\.0*)?$)\d+(?:\.\d+)?", text):
        raise ValueError("must be <count>/<seconds>, such as 100/60")
    if text is not None and float(text.partition("/")[2]) > DAY_S:
        raise ValueError("must be of a day (86400 seconds) at most")
    return text


def read_proxies(value: Any) -> Any:
    """Decode addresses and networks of proxies; true or false stand for all and none."""
    if isinstance(value, str) and value.strip().lower() in ("1", "0", "true", "false", "yes", "no", "on", "off"):
        return value.strip().lower() in ("1", "true", "yes", "on")
    found = read_list(value)
    if isinstance(found, list | tuple):
        for one in found:
            try:
                ip_network(one, strict=False)
            except (ValueError, TypeError) as error:
                raise ValueError("must be true, false, or addresses and networks such as 10.0.0.0/8") from error
    return found


def check_jwt_secret(secret: SecretStr | None) -> SecretStr | None:
    """Refuse a secret that could be found by trying: RFC 7518, 3.2 demands as many bits as the hash has."""
    if secret is not None and len(secret.get_secret_value().encode()) < MIN_JWT_BYTES:
        raise ValueError(f"must have at least {MIN_JWT_BYTES} bytes; make one with: openssl rand -hex 32")
    return secret


def split_secrets(secrets: SecretStr | None) -> tuple[str, ...]:
    """Return secrets that stand with commas between."""
    texts = secrets.get_secret_value().split(",") if secrets is not None else ()
    return tuple(text.strip() for text in texts if text.strip())


def check_secret_keys(secrets: SecretStr | None) -> SecretStr | None:
    """Refuse keys that could be found by trying."""
    if any(len(text.encode()) < MIN_JWT_BYTES for text in split_secrets(secrets)):
        raise ValueError(f"each must have at least {MIN_JWT_BYTES} bytes; make one with: openssl rand -hex 32")
    return secrets


def check_password_hash(value: SecretStr) -> SecretStr:
    """Refuse what is no hash of argon2, a password above all."""
    if not value.get_secret_value().startswith("$argon2"):
        raise ValueError("must be an argon2 hash; make one with: agio user hash")
    return value
