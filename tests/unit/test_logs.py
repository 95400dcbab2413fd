"""Logs: one line each, every fact kept, no secret in any."""

import json
import logging
import logging.config
from typing import Any

import pytest

from agio.observability.logs import JsonFormatter, TextFormatter, log_config, make_formatter, scrub, setup_logging

KEY = "sk-proj-abcDEF123456"


def record(message: str, *args: Any, **extra: Any) -> logging.LogRecord:
    made = logging.getLogger("agio.engine.worker").makeRecord(
        "agio.engine.worker", logging.WARNING, __file__, 1, message, args, None, extra=extra
    )
    made.created = 0.5
    return made


def as_json(made: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(made)
    assert "\n" not in line
    decoded: dict[str, Any] = json.loads(line)
    return decoded


def test_json_line_keeps_message_and_facts():
    assert as_json(record("took over %d runs", 2, run_id="r1", epoch=3, at="x", tags=("a", None))) == {
        "at": "1970-01-01T00:00:00.500Z",
        "level": "warning",
        "logger": "agio.engine.worker",
        "message": "took over 2 runs",
        "run_id": "r1",
        "epoch": 3,
        "at_": "x",
        "tags": ["a", None],
    }


def test_text_line_keeps_message_and_facts():
    line = TextFormatter().format(record("took over", run_id="r1", error="two words", metrics={"steps": 1}))
    assert line.endswith('WARNING engine.worker: took over  run_id=r1 error="two words" metrics="{\\"steps\\": 1}"')


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"refused {KEY} at once", "refused *** at once"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("{'authorization': 'Basic dXNlcjpw', 'a': 1}", "{'authorization': '***', 'a': 1}"),
        ('"x-api-key":"secret1"', '"x-api-key":"***"'),
        ("X-LLM-API-KEY: openai:abc", "X-LLM-API-KEY: ***"),
        ("GET /ws?token=abc&x=1 HTTP/1.1", "GET /ws?token=***&x=1 HTTP/1.1"),
        ("bearer abcdefgh12", "bearer ***"),
        ("mongodb://ann:pa@ss@host/agio", "mongodb://ann:***@host/agio"),
        ("total_tokens=12 idempotency_key=r1:c1", "total_tokens=12 idempotency_key=r1:c1"),
    ],
)
def test_secrets_are_cut_out(text: str, left: str):
    assert scrub(text) == left


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_no_secret_gets_through_a_formatter(formatter: logging.Formatter):
    made = record("failed with %s", KEY, api_key="abc123", headers={"Authorization": "xyz789"}, url="a://b:c456@d")
    try:
        raise ValueError(f"key {KEY}")
    except ValueError as error:
        made.exc_info = (type(error), error, error.__traceback__)
    line = formatter.format(made)
    assert "ValueError" in line
    assert not [secret for secret in (KEY, "abc123", "xyz789", "c456") if secret in line]


@pytest.mark.parametrize(("terminal", "formatter"), [(True, TextFormatter), (False, JsonFormatter)])
def test_form_follows_the_terminal(terminal: bool, formatter: type, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal)
    assert isinstance(make_formatter("auto"), formatter)
    assert isinstance(make_formatter("json"), JsonFormatter)


@pytest.fixture
def untouched_logging():
    """Put the loggers back as they were."""
    names = ("", "agio", "uvicorn", "uvicorn.access", "uvicorn.error")
    loggers = [logging.getLogger(name) for name in names]
    before = [(one, one.level, list(one.handlers), one.propagate) for one in loggers]
    yield
    for one, level, handlers, propagate in before:
        one.handlers[:], one.propagate = handlers, propagate
        one.setLevel(level)


@pytest.mark.usefixtures("untouched_logging")
def test_set_up_sends_agio_at_its_level_and_libraries_from_warning(capsys: pytest.CaptureFixture[str]):
    setup_logging("DEBUG", "json")
    logging.getLogger("agio.engine").debug("seen")
    logging.getLogger("uvicorn.access").info('%s - "%s %s HTTP/%s" %d', "1.2.3.4", "GET", "/?api_key=abc", "1.1", 200)
    logging.getLogger("somebody.else").info("not seen")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in lines] == ["seen", '1.2.3.4 - "GET /?api_key=*** HTTP/1.1" 200']


@pytest.mark.usefixtures("untouched_logging")
def test_set_up_as_data_may_be_carried_out_elsewhere():
    logging.config.dictConfig(json.loads(json.dumps(log_config("TRACE"))))
    assert logging.getLogger("agio").level == 5
