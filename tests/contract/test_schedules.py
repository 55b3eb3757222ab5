"""Schedules: a person's own hour and the runs of a cron, whatever the zone, the day and the moment."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clarion.journey import schedules
from clarion.journey.rules.local_time import begins, is_over, moment_of
from clarion.model import LOCAL_SPREAD_MS, LocalTime, Schedule

HOUR_MS = 3_600_000
BEGIN, END = (round(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * 1000 for year in (2020, 2037))
ZONES = sorted(name for name in available_timezones() if not name.startswith(("posix", "right", "SystemV")))

zones = st.sampled_from(ZONES).map(ZoneInfo)
moments = st.integers(BEGIN, END)
clocks = st.times().map(lambda one: f"{one.hour:02}:{one.minute:02}")
dated = st.tuples(st.dates(datetime(2020, 1, 2, tzinfo=UTC).date(), datetime(2036, 12, 1, tzinfo=UTC).date()), clocks)


def wall(moment: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(moment / 1000, zone).strftime("%Y-%m-%dT%H:%M")


def is_left_out(text: str, zone: ZoneInfo) -> bool:
    there = datetime.fromisoformat(text).replace(tzinfo=zone)
    return there.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != there.replace(tzinfo=None)


@given(clocks, zones, moments)
def test_a_time_of_day_comes_within_a_day_and_at_that_time(clock: str, zone: ZoneInfo, begin: int) -> None:
    moment = moment_of(LocalTime(at=clock), zone, begin)
    assert moment is not None
    # A day has 25 hours at most; where whole days were left out (Kwajalein, Apia) the zones are old enough.
    assert begin <= moment <= begin + 25 * HOUR_MS
    day = wall(moment, zone)[:10]
    assert wall(moment, zone) == f"{day}T{clock}" or is_left_out(f"{day}T{clock}", zone)
    assert moment_of(LocalTime(at=clock, passed="skip"), zone, begin) in (None, moment)
    assert moment_of(LocalTime(at=clock, passed="at_once"), zone, begin) in (begin, moment)


@given(dated, moments, st.lists(zones, min_size=1, max_size=8), st.sampled_from(["next_day", "at_once", "skip"]))
def test_a_day_begins_with_the_first_and_is_over_with_the_last(
    day: tuple, now: int, where: list[ZoneInfo], passed: str
) -> None:
    local = LocalTime(at=f"{day[0].isoformat()}T{day[1]}", passed=passed)  # type: ignore[arg-type]
    begin = begins(local, now)
    assert begin >= now
    for zone in where:
        moment = moment_of(local, zone, begin)
        if moment is None:
            assert passed == "skip"
            assert wall(begin, zone) >= local.at
            continue
        assert begin <= moment
        if not is_over(local, now):
            assert moment <= begin + LOCAL_SPREAD_MS
        if passed == "skip" or wall(moment, zone)[:10] == local.at[:10]:
            assert wall(moment, zone) == local.at or is_left_out(local.at, zone) or passed == "at_once"
        if begin > now:  # in good time for everybody
            assert wall(moment, zone) == local.at or is_left_out(local.at, zone)
        if is_over(local, now):
            assert wall(now, zone) >= local.at


CRONS = ["0 9 * * *", "30 2 * * *", "*/15 * * * *", "0 */6 * * *", "0 8 1 * *", "15 14 * * 1-5"]


@given(st.sampled_from(CRONS), st.sampled_from(["UTC", "Europe/Vienna", "America/New_York"]), moments, st.data())
def test_runs_are_never_doubled_or_lost_however_late_somebody_looks(
    cron: str, zone: str, begin: int, data: st.DataObject
) -> None:
    """Whoever takes the turns, however late, passes over every moment once: it runs, or is counted as missed."""
    schedule = Schedule(cron=cron, timezone=zone, missed=data.draw(st.sampled_from(["catch_up", "skip"])))
    due_at, passed, last = schedules.first_run(schedule, begin), 0, begin
    for _ in range(5):
        assert due_at is not None
        assert due_at > last
        now = due_at + data.draw(st.integers(0, 40 * HOUR_MS))
        turn = schedules.turn(schedule, due_at, now)
        late = now - (turn.run or 0) > schedule.tolerance_s * 1000
        assert turn.run is None or due_at <= turn.run <= now
        assert turn.run is None or schedule.missed == "catch_up" or not late
        assert turn.next is None or turn.next > now
        passed += turn.skipped + (turn.run is not None)
        due_at, last = turn.next, turn.run or due_at
        if due_at is None:
            return
    every = schedules.cron_times(cron, zone, begin)
    assert passed == sum(1 for _ in iter(lambda: next(every) < due_at, False))


NEVER = [
    "0 0 30 2 *",
    "0 0 31 4,6,9,11 *",
    "61 * * * *",
    "x * * * *",
    "0 9 * *",
    "*/5 * * * * *",
    "0 9 * * 9",
    "@daily",
]


@pytest.mark.parametrize("cron", NEVER)
def test_a_cron_that_never_runs_is_refused(cron: str) -> None:
    [(field, words)] = schedules.check(Schedule(cron=cron, timezone="UTC"), BEGIN)
    assert field == "cron"
    assert "never runs" in words or "five fields" in words


def test_a_leap_day_is_far_and_not_never() -> None:
    """Between 2096 and 2104 there is none for eight years."""
    begin = round(datetime(2096, 3, 1, tzinfo=UTC).timestamp() * 1000)
    schedule = Schedule(cron="0 0 29 2 *", timezone="UTC")
    assert schedules.check(schedule, begin) == []
    first = schedules.first_run(schedule, begin)
    assert first == round(datetime(2104, 2, 29, tzinfo=UTC).timestamp() * 1000)


def test_what_is_told_of_a_time_that_is_none() -> None:
    for at in ("2027-02-30T09:00", "25:00", "9999-12-31T23:59"):
        [(_, words)] = schedules.check_local_time(LocalTime(at=at), BEGIN)
        assert words == "must be a time such as 09:00 or 2026-12-01T09:00"
    yesterday = datetime.fromtimestamp(BEGIN / 1000, UTC) - timedelta(days=2)
    local = LocalTime(at=yesterday.strftime("%Y-%m-%dT%H:%M"))
    assert schedules.check_local_time(local, BEGIN) == [("local_time", "is over everywhere")]
