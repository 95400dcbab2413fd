"""Named places where a process dies."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from agio import crashes

DIES = """
from types import SimpleNamespace as It
from agio import crashes
for number in range(1, 4):
    crashes.at("claim")
    crashes.at("accept")
    entries = [[It(type="content_delta")], [It(type="run_failed")], [It(type="tool_call_started")]]
    crashes.committed([It(entry=It(events=events)) for events in entries], [None, None, ValueError()])
    print(number, flush=True)
"""


def _run(place: str) -> "subprocess.CompletedProcess[str]":
    variables = {**os.environ, "AGIO_CRASH_AT": place}
    return subprocess.run([sys.executable, "-c", DIES], env=variables, capture_output=True, text=True, check=False)


def test_nothing_is_armed_by_itself():
    assert (crashes.at, crashes.committed) == (crashes._go_on, crashes._go_on_all)


@pytest.mark.parametrize("place", ["accept", "publish", "end"])
def test_a_process_dies_at_the_nth_time(place: str):
    died = _run(f"{place}:3")
    assert (died.returncode, died.stdout.split()) == (137, ["1", "2"])


@pytest.mark.parametrize("place", ["close", "intent"])
def test_a_place_that_is_not_passed_kills_nobody(place: str):
    assert _run(f"{place}:1").returncode == 0


@pytest.mark.parametrize("text", ["", "claim", "claim:", "claim:0", "claim:-1", "claim:x", "nowhere:1"])
def test_what_names_no_place_is_refused(text: str):
    with pytest.raises(ValueError, match="the places are accept, "):
        crashes.arm(text)


def test_disarmed_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(crashes, "at", crashes.at)
    monkeypatch.setattr(crashes, "committed", crashes.committed)
    crashes.arm("claim:2")
    crashes.at("claim")
    crashes.committed([SimpleNamespace(entry=SimpleNamespace(events=[]))], [None])
    crashes.arm(None)
    crashes.at("claim")
    test_nothing_is_armed_by_itself()
