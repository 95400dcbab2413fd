"""Identifiers: opaque, time-ordered strings."""

import os
import re
import time
import uuid

_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SESSION_ID_RULE = "a session id has 1 to 128 letters, digits and the characters _ - . : @ +"
SESSION_ID = r"[A-Za-z0-9_-][A-Za-z0-9_.:@+-]{0,127}"
"""Sessions bear the names that clients have for them: `user-123`, `ann@example.org`."""
_SESSION_ID = re.compile(SESSION_ID)


def new_id() -> str:
    """Return a fresh UUIDv7 (RFC 9562, 5.7): 48 bits of Unix milliseconds, then random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def is_client_id(text: str) -> bool:
    """Say whether a client may choose `text` as an id: 1 to 64 letters, digits, `_` or `-`."""
    return _CLIENT_ID.fullmatch(text) is not None


def is_session_id(text: str) -> bool:
    """Say whether a client may name a session so: 1 to 128 letters, digits and `_ - . : @ +`."""
    return _SESSION_ID.fullmatch(text) is not None


def checkpoint_id(run_id: str, seq: int) -> str:
    """Return the id of the checkpoint that run `run_id` announced as event `seq`."""
    return f"{run_id}.{seq}"


def split_checkpoint_id(text: str) -> tuple[str, int] | None:
    """Return `(run_id, seq)` of a checkpoint id, or None when `text` cannot be one."""
    run_id, _, seq = text.rpartition(".")
    if not run_id or not seq.isascii() or not seq.isdigit() or len(seq) > 15:
        return None
    return run_id, int(seq)
