"""What may be drawn: the rules of a project, messages, moments, and how long somebody waits.

Few people, few categories, small limits and times at the edges of windows: so that much happens to the same people,
and often just before it may, or just after.
"""

from datetime import UTC, datetime

from hypothesis import strategies as st

from clarion.model import (
    Cap,
    CategoryClass,
    Digest,
    Experiment,
    FixedWindow,
    Goal,
    Holdout,
    LocalTime,
    Message,
    ProjectSettings,
    QuietHours,
    Rolling,
    ScheduledWindow,
    SlidingWindow,
    UnlessEvent,
    Variant,
    Winner,
)
from invariants.nouns import Kind

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
NIGHT = QuietHours(start="22:00", end="08:00")
LUNCH = QuietHours(start="12:00", end="13:30")
WEEKEND = QuietHours(start="00:00", end="24:00", days=("sat", "sun"))
IN_ONE = "{{ count }} in one"
KINDS = (
    # What its definition says of quiet hours and digests is nothing to what is mandatory.
    Kind("security", CategoryClass.MANDATORY, NIGHT, Digest(window=FixedWindow(seconds=600), title=IN_ONE)),
    Kind("orders", CategoryClass.INFORMATIONAL, channels=("push", "email")),
    Kind("taxi", CategoryClass.INFORMATIONAL, "none"),
    Kind("chat", CategoryClass.INFORMATIONAL, digest=Digest(window=FixedWindow(seconds=600), title=IN_ONE)),
    Kind("offers", CategoryClass.MARKETING, LUNCH, channels=("push", "email")),
    Kind("news", CategoryClass.MARKETING),
)
DIGESTS = (
    Digest(window=FixedWindow(seconds=600), title=IN_ONE),
    Digest(window=SlidingWindow(seconds=600, max_seconds=3_600), title=IN_ONE, max_items=3),
    Digest(window=ScheduledWindow(at=("08:00", "18:00")), title=IN_ONE),
    Digest(window=FixedWindow(seconds=600), title=IN_ONE, immediate_first=True),
    Digest(window=FixedWindow(seconds=600), title=IN_ONE, min_items=4),  # so few go as they are, in one step
)
NAMES = ("ada", "bob", "eve")
ZONES = ("Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Beirut", None)
STARTS = [
    round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
    for text in ("2027-03-27T18:00", "2026-10-24T18:00", "2028-02-28T20:00", "2027-01-15T08:00")
]
JUMPS_MS = (1, 101, 9_000, 16_000, 10 * MINUTE_MS, HOUR_MS - 1, HOUR_MS, 3 * HOUR_MS, 8 * HOUR_MS, DAY_MS, 3 * DAY_MS)
EDGES = ("00:00", "08:00", "09:00", "12:00", "13:30", "22:00")
"""When a day, quiet hours, or anybody's time begins or ends."""
NEARLY_MS = (-MINUTE_MS, -1, 0, 1)
"""Before an edge, on it, behind it."""
someone = st.integers(0, 4)
numbers = st.integers(0, 99)
seldom = st.sampled_from([False, False, True])
categories = st.sampled_from([kind.name for kind in KINDS])
channels = st.sampled_from([None, None, "push", "email"])
caps = st.lists(
    st.builds(
        lambda limit, per, scope, at_cap: Cap(
            name=f"{limit} {per} {scope} {at_cap}",
            limit=limit,
            per=Rolling(seconds=per) if isinstance(per, int) else per,
            at_cap=at_cap,
            **scope,
        ),
        st.integers(1, 2),
        st.sampled_from(["day", "day", "week", 600, 3600, 90_000]),
        st.sampled_from([{}, {"class_": CategoryClass.MARKETING}, {"category": "orders"}, {"channel": "push"}]),
        st.sampled_from(["drop", "wait"]),
    ),
    min_size=1,
    max_size=2,
)
rules_of_projects = st.builds(
    ProjectSettings,
    caps=st.sampled_from([False, True, True, True]).flatmap(lambda capped: caps if capped else st.just([])),
    quiet_hours=st.sampled_from([None, NIGHT]),
    quiet_hours_spread_s=st.sampled_from([0, 900]),
    missing_zone=st.sampled_from(["default", "default", "hold_quiet"]),
    default_timezone=st.sampled_from(["UTC", "Asia/Tokyo"]),
    holdout_percent=st.sampled_from([0.0, 0.0, 0.0, 30.0]),
    marketing_consent=st.sampled_from(["opt_in", "opt_out"]),
    mandatory_can_be_switched_off=st.sampled_from([False, False, True]),
)
VARIANTS = [Variant(key="a"), Variant(key="b", title="Good day")]
TRIAL = Experiment(goal=Goal(within_s=600), winner=Winner(after=1_200, share=50.0))
experiments = st.sampled_from([None, None, None, Experiment(), TRIAL])


def _message(ttl: int, tried: Experiment | None, **drawn: object) -> Message:
    """Who waits for a winner needs time for that."""
    if tried is not None:
        drawn |= {"variants": VARIANTS, "experiment": tried}
    return Message(ttl=max(ttl, 7_200) if tried == TRIAL else ttl, **drawn)  # type: ignore[arg-type]


messages = st.builds(
    _message,
    ttl=st.sampled_from([0, 600, 7_200, *[3 * 86_400] * 4]),
    tried=experiments,
    category=categories,
    title=st.just("Hello"),
    priority=st.integers(0, 2),
    content_key=st.sampled_from([*[None] * 5, "same"]),
    content_window=st.just(3_600),
    condition=st.sampled_from([*[None] * 5, "user.open"]),
    unless_event=st.sampled_from([None, None, None, UnlessEvent(name="paid")]),
    holdout=st.sampled_from([*[None] * 7, Holdout(key="half", percent=50.0)]),
)
local_times = st.builds(
    LocalTime,
    at=st.sampled_from(["08:00", "09:00", "12:30", "22:00"]),
    passed=st.sampled_from(["next_day", "at_once", "skip"]),
)
