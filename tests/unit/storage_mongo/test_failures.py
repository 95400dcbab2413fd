"""Names for errors."""

from typing import Any

import pytest
from bson.errors import InvalidDocument
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteConcernError,
    WTimeoutError,
)

from agio.domain.errors import AgioError, Invalid, LimitExceeded, StoreUnavailable
from agio.storage.mongo import keys
from agio.storage.mongo.failures import leaves_open, outside_name, secrets_of


def bulk(*, errors: tuple[int, ...] = (), concerns: tuple[int, ...] = ()) -> BulkWriteError:
    details: dict[str, Any] = {
        "writeErrors": [
            {"index": i, "code": code, "errmsg": f"e{code}", "op": "SECRET"} for i, code in enumerate(errors)
        ],
        "writeConcernErrors": [{"code": code, "errmsg": f"c{code}"} for code in concerns],
    }
    return BulkWriteError(details)


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("x"),
        NetworkTimeout("x"),
        NotPrimaryError("x"),
        ServerSelectionTimeoutError("x"),
        WaitQueueTimeoutError("x"),
        ExecutionTimeout("x", 50),
        WriteConcernError("x", 100),
        WTimeoutError("x", 64),
        OperationFailure("x", 11600),
        OperationFailure("x", 1, {"errorLabels": ["RetryableWriteError"]}),
        bulk(errors=(11000, 91)),
        bulk(concerns=(64,)),
    ],
)
def test_outcome_is_open(error: PyMongoError) -> None:
    assert leaves_open(error)


@pytest.mark.parametrize(
    "error", [DuplicateKeyError("x", 11000), OperationFailure("x", 13), OperationFailure("x"), bulk(errors=(11000, 2))]
)
def test_outcome_is_known(error: PyMongoError) -> None:
    assert not leaves_open(error)


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (DocumentTooLarge("x"), LimitExceeded),
        (InvalidDocument("x"), Invalid),
        (NetworkTimeout("x"), StoreUnavailable),
        (AutoReconnect("x"), StoreUnavailable),
        (OperationFailure("x", 2), StoreUnavailable),
    ],
)
def test_errors_have_names_of_the_domain(error: Exception, name: type[AgioError]) -> None:
    assert type(outside_name(error, ())) is name


def test_documents_of_a_batch_are_not_quoted() -> None:
    text = str(outside_name(bulk(errors=(2,), concerns=(64,)), ()))
    assert text == "MongoDB refused: e2; c64"


def test_long_texts_are_cut_after_the_secrets_are_out() -> None:
    error = outside_name(AutoReconnect("x" * 298 + "hunter2"), ["hunter2"])
    assert len(str(error)) < 350
    assert "hu" not in str(error)


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("mongodb://host/x", set()),
        ("mongodb://ann@host/x", set()),
        ("mongodb://ann:pw@host/x?a=b@c", {"pw"}),
        ("mongodb://ann:p%40w@host", {"p%40w", "p@w"}),
        ("mongodb+srv://ann:p:w@host", {"p:w"}),
    ],
)
def test_password_of_a_url(url: str, secrets: set[str]) -> None:
    assert secrets <= set(secrets_of(url))


def test_keys_of_entries_sort_as_their_numbers() -> None:
    numbers = [1, 9, 10, 99, 100, 10**11, keys.LAST_SEQ]
    made = [keys.entry("r", number) for number in numbers]
    assert made == sorted(made)
    assert [keys.split_entry(key) for key in made] == [("r", number) for number in numbers]
