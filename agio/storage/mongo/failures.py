"""What went wrong in MongoDB: which errors leave the outcome open, and what they are called outside."""

import re
from collections.abc import Iterable
from urllib.parse import unquote_plus

from bson.errors import BSONError
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
)

from agio.domain.errors import AgioError, Invalid, LimitExceeded, StoreFull, StoreUnavailable

MONGO_ERRORS = (PyMongoError, BSONError, OverflowError)
"""What PyMongo raises; `OverflowError` for integers of more than 64 bits."""

DUPLICATE_KEY = 11000
OUT_OF_DISK = 14031

OPEN_OUTCOME = frozenset(
    {6, 7, 50, 64, 89, 91, 100, 112, 134, 189, 234, 262, 317, 358, 384, 9001, 10107, 11600, 11602, 13435, 13436}
)
"""Server error codes after which the same write may be sent again: network, step-down, shutdown, time-out,
write concern not satisfied, write conflict."""

_MESSAGE_LIMIT = 300


def leaves_open(error: PyMongoError) -> bool:
    """Say whether the write may have happened and is worth repeating."""
    if isinstance(error, ConnectionFailure | WriteConcernError) or error.timeout:
        return True
    if error.has_error_label("RetryableWriteError") or error.has_error_label("SystemOverloadedError"):
        return True
    if isinstance(error, BulkWriteError):
        codes = (item.get("code") for item in error.details.get("writeErrors", ()))
        return bool(error.details.get("writeConcernErrors")) or any(code in OPEN_OUTCOME for code in codes)
    return isinstance(error, OperationFailure) and error.code in OPEN_OUTCOME


def unusable_url(error: Exception, url: str) -> Invalid:
    """Name an error that the URL caused.

    A password that is not percent-encoded makes the parser take a piece of it for a host or port and quote
    that piece, so where there is a user the parser's own words are kept back.
    """
    if "@" in url:
        why = "check the host, the options, and that user name and password are percent-encoded"
    else:
        why = str(error)
    return Invalid(f"the MongoDB URL cannot be used: {why}", field="url")


def outside_name(error: Exception, secrets: Iterable[str]) -> AgioError:
    """Return the error of the domain that stands for `error`, without any of the secrets."""
    text = " ".join(_text(error).split())
    for secret in secrets:
        text = text.replace(secret, "***")
    text = text[:_MESSAGE_LIMIT]
    if isinstance(error, DocumentTooLarge):
        return LimitExceeded(f"MongoDB cannot store a record this large: {text}")
    if isinstance(error, BSONError | OverflowError):
        return Invalid(f"MongoDB cannot store this value: {text}")
    if isinstance(error, PyMongoError) and error.timeout and not isinstance(error, ServerSelectionTimeoutError):
        return StoreUnavailable(f"MongoDB did not answer in time: {text}")
    if isinstance(error, ConnectionFailure):
        return StoreUnavailable(f"MongoDB cannot be reached: {text}")
    if isinstance(error, ConfigurationError):
        return StoreUnavailable(f"MongoDB cannot be used as configured: {text}")
    if isinstance(error, OperationFailure) and error.code == OUT_OF_DISK:
        return StoreFull(f"MongoDB's disk is full: {text}")
    return StoreUnavailable(f"MongoDB refused: {text}")


def _text(error: Exception) -> str:
    if not isinstance(error, BulkWriteError):
        return str(error).partition(", full error:")[0]
    # Its own text quotes the documents.
    items = [*error.details.get("writeErrors", ()), *error.details.get("writeConcernErrors", ())]
    return "; ".join(str(item.get("errmsg")) for item in items)


def secrets_of(url: str) -> tuple[str, ...]:
    """Return the password in a URL, as it stands there and decoded; nothing when there is none.

    Where it is not percent-encoded it is not clear where it ends, so there may be more than one candidate.
    """
    rest = url.partition("://")[2]
    user_infos = (rest.rpartition("@")[0], re.split("[/?]", rest)[0].rpartition("@")[0])
    passwords = {user_info.partition(":")[2] for user_info in user_infos} - {""}
    return tuple(sorted(passwords | {unquote_plus(password) for password in passwords}, key=len, reverse=True))
