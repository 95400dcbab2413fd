from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from agio.domain.errors import Invalid
from agio.domain.schedules import NEVER, FireNow, PassOver, Schedule, decide, fire_id, move_on, pass_over, run_id_of
from agio.engine.cron import check_cron, following, last_until, upcoming

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def hourly(**changes: object) -> Schedule:
    base = Schedule(id="s", group_id="g", name="n", cron="0 * * * *", next_at=NOON, created_at=NOON, updated_at=NOON)
    return replace(base, **changes)  # type: ignore[arg-type]


def decided(schedule: Schedule, now: datetime) -> object:
    return decide(
        schedule,
        now,
        following=lambda at: following(schedule.cron, "UTC", at),
        last_until=lambda at: last_until(schedule.cron, "UTC", at),
    )


def test_tick_fires_when_it_is_due_and_not_before():
    assert decided(hourly(), NOON - timedelta(microseconds=1)) is None
    assert decided(hourly(), NOON) == FireNow(NOON)
    assert decided(hourly(), NOON + MINUTE) == FireNow(NOON)
    assert decided(hourly(enabled=False), NOON) is None


def test_missed_ticks_are_left_out_collapsed_or_made_up_for():
    late = NOON + timedelta(hours=3, minutes=30)
    assert decided(hourly(missed="skip"), late) == PassOver(NOON + timedelta(hours=4))
    assert decided(hourly(missed="skip"), NOON + timedelta(hours=3, seconds=30)) == PassOver(NOON + timedelta(hours=3))
    assert decided(hourly(missed="once"), late) == PassOver(NOON + timedelta(hours=3))
    assert decided(hourly(missed="once", next_at=NOON + timedelta(hours=3)), late) == FireNow(NOON + timedelta(hours=3))
    assert decided(hourly(missed="all"), late) == FireNow(NOON)


def test_schedule_moves_forward_only():
    one = NOON + timedelta(hours=1)
    moved = move_on(hourly(), NOON, one, run_id="r", at=NOON)
    assert (moved.next_at, moved.last_at, moved.last_run_id) == (one, NOON, "r")
    assert move_on(moved, NOON, one, run_id="r2", at=NOON) is moved
    assert move_on(moved, one, NOON, run_id="r2", at=NOON) is moved
    assert pass_over(moved, NOON, one, at=NOON) is moved
    assert move_on(moved, one, NEVER, run_id=None, at=NOON).last_run_id == "r"


def test_tick_has_one_record_and_one_run_in_every_zone():
    berlin = NOON.astimezone(ZoneInfo("Europe/Berlin"))
    assert fire_id("s", NOON) == fire_id("s", berlin) == "s@20261121T120000Z"
    assert run_id_of(fire_id("s", NOON)) == run_id_of(fire_id("s", berlin)) != run_id_of(fire_id("t", NOON))


@pytest.mark.parametrize(
    ("expression", "zone", "field"),
    [
        ("* * * *", "UTC", "cron"),
        ("* * * * * *", "UTC", "cron"),
        ("60 * * * *", "UTC", "cron"),
        ("0 0 30 2 *", "UTC", "cron"),
        ("@daily", "UTC", "cron"),
        ("* * * * *", "Mars/Olympus", "timezone"),
        ("* * * * *", "../../etc/passwd", "timezone"),
        ("* * * * *", "", "timezone"),
        ("* * * * *", "America", "timezone"),
    ],
)
def test_what_cannot_be_read_or_never_fires_is_refused(expression: str, zone: str, field: str):
    with pytest.raises(Invalid) as caught:
        check_cron(expression, zone)
    assert caught.value.field == field


def test_clock_changes_leave_no_day_out_and_fire_none_twice():
    spring = datetime(2026, 3, 28, 12, tzinfo=UTC)
    found = upcoming("30 2 * * *", "Europe/Berlin", spring, 3)
    assert [tick.isoformat() for tick in found] == [
        "2026-03-29T01:00:00+00:00",
        "2026-03-30T00:30:00+00:00",
        "2026-03-31T00:30:00+00:00",
    ]
    autumn = upcoming("30 2 * * *", "Europe/Berlin", datetime(2026, 10, 24, 12, tzinfo=UTC), 2)
    assert [tick.isoformat() for tick in autumn] == ["2026-10-25T00:30:00+00:00", "2026-10-26T01:30:00+00:00"]
    assert last_until("0 * * * *", "UTC", NOON) == NOON
