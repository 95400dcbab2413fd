"""Counting from what the engine tells, and adding up over processes."""

import multiprocessing
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agio.domain import events as ev
from agio.domain.metrics import Metrics as Spent
from agio.domain.metrics import ModelCall, Usage
from agio.domain.status import RunStatus
from agio.observability import shared
from agio.observability.metrics import LookedUp, Metrics, Names, render_gauges
from agio.observability.observer import ProcessObserver
from agio.testing.conformance.records import instant
from tests.support.server import ROOT
from tests.unit.api.entries import entry
from tests.unit.domain.samples import run_in

SPENT = Spent(steps=2, duration_ms=1500)
CALL = ModelCall(
    provider="openai",
    model="m",
    outcome="ok",
    duration_s=2.0,
    first_token_s=0.5,
    usage=Usage(prompt_tokens=3, completion_tokens=4, total_tokens=7, cost=0.25),
)


def figures(text: bytes) -> dict[str, float]:
    """Return `{name{labels}: value}` of everything but buckets and times of creation."""
    return {
        sample.name + "".join(f"{{{k}={v}}}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


def test_events_are_counted():
    metrics = Metrics()
    failed = ev.RunFailed(error={"code": "provider_auth", "message": "no"}, metrics=SPENT)
    events: list[ev.Event] = [
        ev.Deltas(of="content", step=1, message_id="m", contents=("a", "b")),
        ev.StepCompleted(step=1, usage=Usage(), duration_ms=250),
        ev.ToolCallCompleted(step=1, tool_call_id="c", name="search", duration_ms=10),
        ev.ToolCallFailed(step=1, tool_call_id="c", name="search", error={"code": "tool_timeout"}, duration_ms=10),
        ev.ToolCallFailed(step=1, tool_call_id="c", name="search", error={"code": "tool_cancelled"}),
        ev.Warned(code="max_steps", message="x"),
        ev.RunRecovered(reason="crashed", worker="w", epoch=2),
    ]
    ProcessObserver(metrics).committed([entry(*events), entry(failed), entry(ev.RunCompleted(metrics=SPENT))], 0.002)
    found = figures(metrics.render())
    wanted = {
        "agio_journal_batch_entries_sum": 3.0,
        "agio_journal_append_seconds_count": 1.0,
        "agio_step_seconds_sum": 0.25,
        "agio_tool_seconds_count{outcome=ok}{tool=search}": 1.0,
        "agio_tool_seconds_count{outcome=tool_timeout}{tool=search}": 1.0,
        "agio_run_warnings_total{code=max_steps}": 1.0,
        "agio_takeovers_total{reason=crashed}": 1.0,
        "agio_run_errors_total{code=provider_auth}": 1.0,
        "agio_runs_ended_total{status=failed}": 1.0,
        "agio_runs_ended_total{status=completed}": 1.0,
        "agio_run_seconds_sum{status=completed}": 1.5,
    }
    assert {name: found.get(name) for name in wanted} == wanted
    assert not any("tool_cancelled" in name for name in found)


def test_model_calls_are_counted_by_provider_and_model():
    metrics = Metrics()
    observer = ProcessObserver(metrics)
    observer.asked(CALL)
    observer.asked(CALL)
    found = figures(metrics.render())
    of = "{model=m}{provider=openai}"
    assert found[f"agio_tokens_total{{kind=prompt}}{of}"] == 6
    assert found[f"agio_tokens_total{{kind=completion}}{of}"] == 8
    assert found[f"agio_cost_dollars_total{of}"] == 0.5
    assert found["agio_model_seconds_sum{model=m}{outcome=ok}{provider=openai}"] == 4.0
    assert found[f"agio_model_first_token_seconds_sum{of}"] == 1.0


def test_first_claim_ends_the_wait():
    metrics = Metrics()
    observer = ProcessObserver(metrics)
    run = run_in(RunStatus.RUNNING, created_at=instant(0), owned_since=instant(4), epoch=1)
    observer.claimed(run, abandoned=False)
    observer.claimed(run_in(RunStatus.RUNNING, epoch=2), abandoned=False)
    observer.claimed(run_in(RunStatus.RUNNING, epoch=3), abandoned=True)
    found = figures(metrics.render())
    assert {how: found[f"agio_claims_total{{how={how}}}"] for how in ("first", "again", "takeover")} == {
        "first": 1,
        "again": 1,
        "takeover": 1,
    }
    assert found["agio_run_queue_seconds_sum"] == 4.0


def test_runs_under_way_and_readers_are_gauges():
    metrics = Metrics()
    observer = ProcessObserver(metrics)
    observer.readers(3)
    with observer.driving(run_in(RunStatus.RUNNING)):
        assert figures(metrics.render())["agio_runs_owned"] == 1
    found = figures(metrics.render())
    assert (found["agio_runs_owned"], found["agio_readers"]) == (0, 3)


def test_without_metrics_nothing_is_counted():
    observer = ProcessObserver(None)
    with observer.driving(run_in(RunStatus.RUNNING)):
        observer.claimed(run_in(RunStatus.RUNNING), abandoned=True)
        observer.asked(CALL)
        observer.committed([entry(ev.RunCompleted(metrics=SPENT))], 0.1)
        observer.readers(1)


def test_names_that_users_give_are_bounded():
    names = Names(kept=2)
    assert [names[name] for name in ("a", "b", "c", "a", "d")] == ["a", "b", "other", "a", "other"]


def test_gauges_that_were_looked_up_have_the_same_form():
    text = render_gauges([LookedUp("agio_x", "X.", "", {"": 1.0}), LookedUp("agio_y", "Y.", "k", {"a": 2.0, "b": 0.0})])
    assert figures(text) == {"agio_x": 1.0, "agio_y{k=a}": 2.0, "agio_y{k=b}": 0.0}


# -- several processes

COUNTER = """
import os, sys
from pathlib import Path
from agio.observability.metrics import Metrics

metrics = Metrics(Path(sys.argv[1]))
metrics.takeovers.labels("crashed").inc()
metrics.readers.set(5)
print(metrics.render().decode() if len(sys.argv) > 2 else "", flush=True)
if len(sys.argv) > 2:
    sys.exit()
sys.stdin.readline()
"""


def test_any_process_answers_for_all_and_the_dead_leave_counts_but_no_gauges(tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", COUNTER, str(tmp_path)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with ExitStack() as stack:
        others = [stack.enter_context(subprocess.Popen(command, env=environment, **pipes)) for _ in range(2)]
        for other in others:
            stack.callback(other.kill)
            assert other.stdout is not None
            other.stdout.readline()
        others[0].kill()
        others[0].wait(30)
        answer = subprocess.run([*command, "render"], env=environment, capture_output=True, check=True, timeout=60)
    found = figures(answer.stdout)
    assert found["agio_takeovers_total{reason=crashed}"] == 3
    assert found["agio_readers"] == 10


def test_process_of_its_own_needs_no_folder(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(shared.VARIABLE, raising=False)
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: None)
    assert shared.metrics_folder() is None


def test_folder_is_the_one_that_the_variable_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(shared.VARIABLE, str(tmp_path / "figures"))
    assert shared.metrics_folder() == tmp_path / "figures"
    assert (tmp_path / "figures").stat().st_mode & 0o777 == 0o700


def test_siblings_share_a_folder_and_those_of_the_gone_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Supervisor:
        pid = os.getppid()

    monkeypatch.delenv(shared.VARIABLE, raising=False)
    monkeypatch.setattr(multiprocessing, "parent_process", Supervisor)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine = shared.metrics_folder()
    assert mine is not None
    reused = mine.with_name(mine.name.rpartition("-")[0] + "-7")  # an earlier process had our supervisor's id
    gone = mine.with_name(mine.name.replace(f"-{os.getppid()}-", "-4194304-"))
    for folder in (reused, gone):
        folder.mkdir()
    assert shared.metrics_folder() == mine
    assert [folder.name for folder in tmp_path.iterdir()] == [mine.name]
