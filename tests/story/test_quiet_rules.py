"""Quiet hours as a rule: what the wall says in every zone, on the days when clocks are turned, and what may pass."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clarion.journey.candidate import Candidate
from clarion.journey.decide import Law, decide
from clarion.journey.judgement import Judgement, effects
from clarion.journey.rules import Quiet
from clarion.journey.rules.quiet import SLOTS
from clarion.model import (
    DAY_MS,
    WEEKDAYS,
    Audience,
    Category,
    CategoryClass,
    DeviceKind,
    Message,
    Notification,
    Permission,
    PersonPreference,
    ProjectSettings,
    QuietHours,
    Reason,
)
from clarion.ports import Facts, PairsWork, Recipient, Target

NIGHT = QuietHours(start="22:00", end="08:00")
FAR = 30 * DAY_MS
MINUTE_MS = 60_000


def at(text: str) -> int:
    """Milliseconds of a time in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def utc(millis: int) -> str:
    return datetime.fromtimestamp(millis / 1000, UTC).strftime("%Y-%m-%dT%H:%M")


def hours(text: str, *days: str) -> QuietHours:
    start, end = text.split("-")
    return QuietHours(start=start, end=end, days=days or None)


def law(now: int, project: QuietHours | None = NIGHT, ttl: int = FAR, **more: object) -> Quiet:
    category = Category(name="c", **{name: more.pop(name) for name in ("class_", "quiet_hours") if name in more})  # type: ignore[arg-type]
    settings = ProjectSettings(quiet_hours=project, **more)  # type: ignore[arg-type]
    message = Message(title="Hi", ttl=ttl // 1000)
    to = Audience(everyone=True)
    notification = Notification(key=1, id="n", project=1, message=message, to=to, created_at=now)
    return Quiet(notification, category, settings, now)


CASES = [
    # zone, window, now (UTC), until (UTC) or None: not quiet
    ("Europe/Paris", "22:00-08:00", "2026-11-26T22:12", "2026-11-27T07:00"),
    ("Europe/Paris", "22:00-08:00", "2026-11-26T20:59", None),
    ("Europe/Paris", "22:00-08:00", "2026-11-26T21:00", "2026-11-27T07:00"),
    ("Europe/Paris", "22:00-08:00", "2026-11-27T07:00", None),
    ("UTC", "12:00-14:00", "2026-11-26T13:59", "2026-11-26T14:00"),
    ("UTC", "12:00-14:00", "2026-11-26T11:59", None),
    # 29 March 2026: Berlin's clocks go from 02:00 to 03:00 (01:00 UTC)
    ("Europe/Berlin", "22:00-08:00", "2026-03-28T21:30", "2026-03-29T06:00"),
    ("Europe/Berlin", "22:00-02:30", "2026-03-28T23:00", "2026-03-29T01:00"),  # its end is skipped
    ("Europe/Berlin", "02:30-08:00", "2026-03-29T00:59", None),
    ("Europe/Berlin", "02:30-08:00", "2026-03-29T01:00", "2026-03-29T06:00"),  # its beginning is skipped
    ("Europe/Berlin", "02:10-02:50", "2026-03-29T01:00", None),  # all of it is
    # 25 October 2026: from 03:00 back to 02:00 (01:00 UTC)
    ("Europe/Berlin", "22:00-08:00", "2026-10-24T21:00", "2026-10-25T07:00"),
    ("Europe/Berlin", "22:00-02:30", "2026-10-24T22:00", "2026-10-25T00:30"),
    ("Europe/Berlin", "22:00-02:30", "2026-10-25T00:40", None),  # between the two times that it is 02:30
    ("Europe/Berlin", "22:00-02:30", "2026-10-25T01:10", "2026-10-25T01:30"),  # 02:10 once more
    ("Europe/Berlin", "22:00-03:00", "2026-10-25T00:10", "2026-10-25T02:00"),  # an end that comes once
    ("America/New_York", "22:00-08:00", "2026-03-08T05:00", "2026-03-08T12:00"),
    ("America/New_York", "22:00-08:00", "2026-11-01T05:00", "2026-11-01T13:00"),
    ("Australia/Lord_Howe", "22:00-08:00", "2026-10-03T14:00", "2026-10-03T21:00"),  # half an hour forward
    ("Pacific/Kiritimati", "22:00-08:00", "2026-11-26T10:00", "2026-11-26T18:00"),  # UTC+14
    ("Pacific/Kiritimati", "22:00-08:00", "2026-11-26T06:00", None),
    ("Pacific/Pago_Pago", "22:00-08:00", "2026-11-26T10:00", "2026-11-26T19:00"),  # UTC-11
    ("Pacific/Pago_Pago", "22:00-08:00", "2026-11-26T22:00", None),
    ("Asia/Kathmandu", "22:00-08:00", "2026-11-26T16:15", "2026-11-27T02:15"),  # UTC+5:45
    ("Europe/Paris", "22:00-08:00", "2028-02-28T23:00", "2028-02-29T07:00"),
    ("Europe/Paris", "22:00-08:00", "2028-02-29T23:00", "2028-03-01T07:00"),
    ("Europe/Paris", "22:00-08:00", "2027-12-31T23:30", "2028-01-01T07:00"),
    # days: a Friday's night ends on Saturday (27 November 2026 is a Friday)
    ("UTC", "22:00-08:00 fri", "2026-11-27T23:00", "2026-11-28T08:00"),
    ("UTC", "22:00-08:00 fri", "2026-11-28T07:00", "2026-11-28T08:00"),
    ("UTC", "22:00-08:00 fri", "2026-11-27T07:00", None),
    ("UTC", "22:00-08:00 fri", "2026-11-28T23:00", None),
    ("UTC", "00:00-24:00 sat sun", "2026-11-28T00:00", "2026-11-30T00:00"),
    ("UTC", "00:00-24:00 sat sun", "2026-11-27T23:59", None),
    ("Pacific/Kiritimati", "00:00-24:00 sat sun", "2026-11-27T10:00", "2026-11-29T10:00"),
]


@pytest.mark.parametrize(("zone", "window", "now", "until"), CASES)
def test_quiet_hours_go_by_the_clock_on_the_wall(zone: str, window: str, now: str, until: str | None) -> None:
    text, *days = window.split()
    ruling = law(at(now), hours(text, *days)).rest(zone, None).ruling(0)
    told = (ruling.reason, ruling.until and utc(ruling.until))
    assert told == ((None, None) if until is None else (Reason.QUIET_HOURS, until))


def test_the_record_says_which_window_where_and_what_time_it_was() -> None:
    said = law(at("2026-11-26T22:12")).rest("Europe/Paris", None).ruling(1).because
    assert said == "22:00\N{EN DASH}08:00 in Europe/Paris, now 23:12"
    assert law(at("2026-11-26T12:00")).rest("Europe/Paris", None).ruling(1).because == (
        "outside 22:00\N{EN DASH}08:00 in Europe/Paris"
    )


# --- whose word counts -----------------------------------------------------------------------------------------------

MIDNIGHT, NOON = at("2026-11-26T00:00"), at("2026-11-26T12:00")
OWN = PersonPreference(quiet_hours=hours("07:00-13:00"))


@pytest.mark.parametrize(
    ("now", "asked", "more", "until"),
    [
        (MIDNIGHT, None, {"class_": CategoryClass.MANDATORY}, None),
        (NOON, OWN, {"class_": CategoryClass.MANDATORY}, None),
        (MIDNIGHT, None, {"quiet_hours": "none"}, None),
        (NOON, OWN, {"quiet_hours": "none"}, "2026-11-26T13:00"),
        (MIDNIGHT, None, {"quiet_hours": hours("00:00-01:00")}, "2026-11-26T01:00"),
        (at("2026-11-26T02:00"), None, {"quiet_hours": hours("00:00-01:00")}, None),
        (MIDNIGHT, OWN, {}, "2026-11-26T13:00"),  # one follows the other
        (MIDNIGHT, OWN, {"project": None}, None),
        (NOON, OWN, {"project": None}, "2026-11-26T13:00"),
    ],
    ids=[
        "mandatory passes",
        "mandatory passes one's own",
        "a category passes",
        "but not one's own",
        "a category's own window",
        "in place of the project's",
        "both count",
        "outside one's own",
        "one's own alone",
    ],
)
def test_it_is_quiet_if_anybody_says_so_who_may(now: int, asked, more: dict, until: str | None) -> None:
    ruling = law(now, **({"project": NIGHT} | more)).rest("UTC", asked).ruling(0)
    assert (ruling.reason, ruling.until and utc(ruling.until)) == (
        (None, None) if until is None else (Reason.QUIET_HOURS, until)
    )


@pytest.mark.parametrize("zone", [None, "Mars/Olympus", "../etc"])
def test_without_a_zone_the_projects_counts_or_the_safe_side(zone: str | None) -> None:
    now = at("2026-11-26T05:30")
    lunch = hours("12:00-13:00")
    paris = law(now, default_timezone="Europe/Paris").rest(zone, None).ruling(0)
    assert (utc(paris.until or 0), paris.because) == (
        "2026-11-26T07:00",
        "22:00\N{EN DASH}08:00 in Europe/Paris, the project's, now 06:30",
    )
    # 12:00 to 13:00 goes around the world in a day: it is always somebody's noon.
    safe = law(now, lunch, missing_zone="hold_quiet").rest(zone, None).ruling(0)
    assert (safe.reason, utc(safe.until or 0)) == (Reason.QUIET_HOURS, "2026-11-26T11:30")
    assert safe.because == "12:00\N{EN DASH}13:00 in a zone that nobody knows: it never opens"
    # A Friday begins at UTC+14 and ends at UTC-12.
    friday = hours("00:00-24:00", "fri")
    for moment, until in (
        ("2026-11-26T09:59", None),
        ("2026-11-26T10:00", "2026-11-28T12:00"),
        ("2026-11-28T11:59", "2026-11-28T12:00"),
    ):
        ruling = law(at(moment), friday, missing_zone="hold_quiet").rest(zone, None).ruling(0)
        assert (ruling.until and utc(ruling.until)) == until


# --- coming back -----------------------------------------------------------------------------------------------------


def moments(quiet: Quiet, zone: str = "UTC", asked: PersonPreference | None = None, people: int = 100_000) -> set[int]:
    rest = quiet.rest(zone, asked)
    return {rest.ruling(user).until or 0 for user in range(1, people)}


def test_what_was_held_comes_back_spread_in_few_moments_and_neighbours_together() -> None:
    opens = at("2026-11-26T08:00")
    spread = moments(law(MIDNIGHT))
    assert spread == {opens + slot * 30_000 for slot in range(SLOTS)}
    assert len(moments(law(MIDNIGHT), people=256)) == 1
    assert moments(law(MIDNIGHT, quiet_hours_spread_s=0)) == {opens}
    assert len(moments(law(MIDNIGHT, quiet_hours_spread_s=60))) == 4
    rest = law(MIDNIGHT).rest("UTC", None)
    counts = [0] * SLOTS
    for block in range(4_000):
        counts[((rest.ruling(block * 256).until or 0) - opens) // 30_000] += 1
    assert max(counts) < 1.1 * 4_000 / SLOTS


def test_held_work_stays_in_batches() -> None:
    """A thousand neighbours in four zones, two of them quiet: a few jobs, and everybody is in one of them."""
    zones = ["Europe/Paris", "Europe/London", "America/New_York", "Asia/Tokyo"]
    phone = Target(1, DeviceKind.WEBPUSH, Permission.GRANTED, None)
    people = [
        Recipient(key, f"u{key}", None, None, "{}", [phone], {}, zone=zones[key % 4]) for key in range(5_000, 6_000)
    ]
    notification = Notification(
        key=1, id="n", project=1, message=Message(title="Hi"), to=Audience(everyone=True), created_at=MIDNIGHT
    )
    settings = ProjectSettings(quiet_hours=NIGHT)
    law = Law(settings, {"general": Category(name="general")}, [DeviceKind.WEBPUSH], MIDNIGHT)
    decided = decide([Candidate(notification, one) for one in people], Facts(people, {}), law)
    written = effects(Judgement(decided, []), 1, MIDNIGHT, held_before=False)
    jobs = [new.job for new in written.work]
    assert len(jobs) <= 10
    held = [pair for job in jobs if isinstance(job, PairsWork) and job.held for pair in job.pairs]
    assert sorted(held) == [(1, one.key) for one in people if one.key % 4 < 2]
    assert len({one.gates for one in written.decisions}) == 4


def test_nobody_comes_back_into_the_next_quiet_hours_or_too_late() -> None:
    opens = at("2026-11-26T08:00")
    asked = PersonPreference(quiet_hours=hours("08:05-12:00"))
    assert max(moments(law(MIDNIGHT), asked=asked)) == opens + 4 * MINUTE_MS + 30_000
    # It expires at 08:01: whoever comes back comes back before.
    assert moments(law(MIDNIGHT, ttl=8 * 3_600_000 + MINUTE_MS)) == {opens, opens + 30_000}
    ruling = law(MIDNIGHT, ttl=8 * 3_600_000).rest("UTC", None).ruling(0)
    assert (ruling.reason, ruling.because[-20:]) == (Reason.EXPIRED, ": would arrive stale")


def test_what_never_opens_is_looked_at_again_and_at_last_expires() -> None:
    asked = PersonPreference(quiet_hours=hours("08:00-22:00"))
    ruling = law(MIDNIGHT).rest("UTC", asked).ruling(0)
    assert (ruling.reason, utc(ruling.until or 0)) == (Reason.QUIET_HOURS, "2026-11-26T06:00")
    assert law(MIDNIGHT, ttl=3_600_000).rest("UTC", asked).ruling(0).reason is Reason.EXPIRED


# --- every minute of every zone --------------------------------------------------------------------------------------


def is_quiet(window: QuietHours, zone: str, moment: int) -> bool:
    """The plainest reading: what do the hands of the clock say."""
    wall = datetime.fromtimestamp(moment / 1000, UTC).astimezone(ZoneInfo(zone))
    now, days = wall.strftime("%H:%M"), window.days or WEEKDAYS
    today, yesterday = WEEKDAYS[wall.weekday()], WEEKDAYS[(wall - timedelta(days=1)).weekday()]
    if window.start < window.end:
        return window.start <= now < window.end and today in days
    return (now >= window.start and today in days) or (now < window.end and yesterday in days)


clocks = st.integers(0, 24 * 4 - 1).map(lambda quarter: f"{quarter // 4:02}:{quarter % 4 * 15:02}")
windows = st.builds(
    QuietHours,
    start=clocks,
    end=clocks,
    days=st.none() | st.sets(st.sampled_from(WEEKDAYS), min_size=1).map(lambda days: tuple(sorted(days))),
).filter(lambda window: window.start != window.end)
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Pago_Pago"]
)
# Around both turns of Berlin, New York and Lord Howe, and around 29 February 2028.
turns = ["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01", "2028-02-29"]
nows = st.builds(lambda day, minutes: at(day) + minutes * MINUTE_MS, st.sampled_from(turns), st.integers(-3_000, 3_000))


@given(project=windows, own=st.none() | windows, zone=zones, now=nows, user=st.integers(1, 2**40))
@example(hours("22:00-02:30"), None, "Europe/Berlin", at("2026-10-24T22:00"), 7 << 8)
def test_nothing_passes_in_quiet_hours_and_what_comes_back_comes_outside(
    project: QuietHours, own: QuietHours | None, zone: str, now: int, user: int
) -> None:
    both = [window for window in (project, own) if window is not None]
    rest = law(now, project).rest(zone, PersonPreference(quiet_hours=own))
    ruling = rest.ruling(user)
    assert (ruling.reason is None) == (not any(is_quiet(window, zone, now) for window in both))
    if ruling.reason is None:
        assert rest.quiet_from is not None
        assert rest.quiet_from > now
        steps = range(now - now % MINUTE_MS, min(rest.quiet_from, now + 2 * DAY_MS), 15 * MINUTE_MS)
        assert not any(is_quiet(window, zone, moment) for window in both for moment in steps)
    elif "never" not in ruling.because:
        until = ruling.until or 0
        assert until > now
        assert not any(is_quiet(window, zone, until) for window in both)
        # Before the first moment of the spread it is quiet all the time.
        opens = rest.rulings[0].until or 0
        for moment in range(now - now % MINUTE_MS, opens, 15 * MINUTE_MS):
            assert any(is_quiet(window, zone, moment) for window in both)
