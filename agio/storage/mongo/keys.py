"""The keys of documents."""

from typing import Any

SEQ_DIGITS = 12
LAST_SEQ = 10**SEQ_DIGITS - 1


def in_group(group_id: str, record_id: str) -> str:
    """Return the key of a record whose id is unique in its group only."""
    # Without the quoting group `a/b` with id `c` and group `a` with id `b/c` would be one.
    return f"{group_id.replace('%', '%25').replace('/', '%2F')}/{record_id}"


def entry(run_id: str, first_seq: int) -> str:
    """Return the key of the journal entry that begins with `first_seq`."""
    return f"{run_id}:{first_seq:0{SEQ_DIGITS}d}"


def entries(run_id: str, first: int = 0, last: int = LAST_SEQ) -> dict[str, Any]:
    """Return the condition on `_id` of entries that begin at `first` to `last`."""
    return {"$gte": entry(run_id, min(first, LAST_SEQ)), "$lte": entry(run_id, min(last, LAST_SEQ))}


def split_entry(key: str) -> tuple[str, int]:
    """Return `(run_id, first_seq)`."""
    run_id, _, first_seq = key.rpartition(":")
    return run_id, int(first_seq)


def part(owner: str, name: str) -> str:
    """Return the key of something that belongs to `owner` and is deleted with it."""
    return f"{owner}:{name}"


def parts(owner: str) -> dict[str, Any]:
    """Return the condition on `_id` of everything that belongs to `owner`."""
    return {"$gte": f"{owner}:", "$lt": f"{owner};"}
