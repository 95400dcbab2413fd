"""A short campaign on each store: a few faults under load, and no invariant breaks."""

from pathlib import Path

import pytest

from tests.faults import report
from tests.faults.campaign import Plan, run
from tests.faults.installation import StoreName

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(400)]

SQLITE = ("kill_one", "locked_for_long", "drain_one")
MONGODB = ("kill_one", "step_down", "primary_killed")


@pytest.mark.parametrize(
    ("store", "kinds"),
    [
        pytest.param("sqlite", SQLITE, marks=pytest.mark.xdist_group("faults")),
        pytest.param("mongodb", MONGODB, marks=[pytest.mark.mongo, pytest.mark.xdist_group("faults")]),
    ],
)
async def test_no_invariant_breaks(tmp_path: Path, store: StoreName, kinds: tuple[str, ...]):
    plan = Plan(store=store, seconds=600, seed=7, kinds=kinds, live=5, lease_s=3, drain_s=2, rest_s=1)
    outcome = await run(plan, tmp_path)
    page = report.write(outcome)
    assert not outcome.breaks, page
    assert [fault.kind for fault in outcome.evidence.ledger.faults] == list(kinds)
    assert len(outcome.evidence.history.runs) > 15, page
    assert "**0 invariant breaks.**" in page
