"""Lines of the log say which request, run and worker they are about."""

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from agio.domain.status import RunStatus
from agio.observability import context
from agio.observability.logs import make_context, make_formatter
from agio.observability.observer import ProcessObserver
from tests.unit.domain.samples import run_in


class Lines(logging.Handler):
    """Keeps what is logged, as it would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(make_context())
        self.kept: list[dict[str, str]] = []
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(json.loads(make_formatter("json").format(record)))
        self.texts.append(make_formatter("text").format(record))


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    monkeypatch.setattr(context, "_of_process", {})
    handler, logger = Lines(), logging.getLogger("agio.tried")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def _say(**extra: str) -> None:
    logging.getLogger("agio.tried").warning("something", extra=extra)


def test_facts_are_on_every_line_inside_and_on_none_outside(lines: Lines):
    observer = ProcessObserver(None)
    observer.working("w1")
    with context.bound(request_id="r1"), observer.driving(run_in(RunStatus.RUNNING)):
        _say()
    _say()
    inside, outside = lines.kept
    assert (inside["request_id"], inside["run_id"], inside["worker_id"]) == ("r1", "r", "w1")
    assert ("request_id" in outside, "run_id" in outside, outside["worker_id"]) == (False, False, "w1")
    assert "request_id=r1 run_id=r" in lines.texts[0]
    assert "worker_id" not in lines.texts[0]  # the same on every line of one terminal


def test_what_a_line_says_itself_wins(lines: Lines):
    with context.bound(run_id="outer"):
        _say(run_id="mine")
    assert lines.kept[0]["run_id"] == "mine"


async def test_tasks_keep_what_held_where_they_were_started(lines: Lines):
    async def later() -> None:
        await asyncio.sleep(0)
        _say()

    with context.bound(request_id="r1"):
        one = asyncio.create_task(later())
    with context.bound(request_id="r2"):
        two = asyncio.create_task(later())
    await asyncio.gather(one, two)
    assert [line["request_id"] for line in lines.kept] == ["r1", "r2"]


def test_request_id_of_a_caller_cannot_forge_a_line(lines: Lines):
    with context.bound(request_id='x"}\n{"level": "error"'):
        _say()
    assert lines.kept[0]["level"] == "warning"
    assert len(lines.kept) == 1
