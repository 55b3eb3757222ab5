"""What may be drawn: the rules of a project, messages, moments, and how long somebody waits."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from clarion.model import Cap, CategoryClass, Holdout, Message, ProjectSettings, QuietHours, Rolling, UnlessEvent
from invariants.nouns import Kind

NIGHT = QuietHours(start="22:00", end="08:00")
LUNCH = QuietHours(start="12:00", end="13:30")
WEEKEND = QuietHours(start="00:00", end="24:00", days=("sat", "sun"))
KINDS = (
    Kind("security", CategoryClass.MANDATORY),
    Kind("orders", CategoryClass.INFORMATIONAL),
    Kind("taxi", CategoryClass.INFORMATIONAL, "none"),
    Kind("offers", CategoryClass.MARKETING, LUNCH),
    Kind("news", CategoryClass.MARKETING),
)
NAMES = ("ada", "bob", "eve")
ZONES = ("Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Beirut", None)
STARTS = [
    round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
    for text in ("2027-03-27T18:00", "2026-10-24T18:00", "2028-02-28T20:00", "2027-01-15T08:00")
]
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
JUMPS_MS = (1, 101, 9_000, 16_000, 10 * MINUTE_MS, HOUR_MS - 1, HOUR_MS, 3 * HOUR_MS, 8 * HOUR_MS, DAY_MS, 3 * DAY_MS)
someone = st.integers(0, 4)
numbers = st.integers(0, 99)
seldom = st.sampled_from([False, False, True])
categories = st.sampled_from([kind.name for kind in KINDS])
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
        st.sampled_from(["day", "week", 600, 3600, 90_000]),
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
    holdout_percent=st.sampled_from([0.0, 0.0, 30.0]),
    marketing_consent=st.sampled_from(["opt_in", "opt_out"]),
    mandatory_can_be_switched_off=st.sampled_from([False, False, True]),
)
messages = st.builds(
    Message,
    category=categories,
    title=st.just("Hello"),
    ttl=st.sampled_from([0, 600, 7_200, 3 * 86_400, 3 * 86_400]),
    priority=st.integers(0, 2),
    content_key=st.sampled_from([None, None, None, "same"]),
    content_window=st.just(3_600),
    condition=st.sampled_from([None, None, None, "user.open"]),
    unless_event=st.sampled_from([None, None, None, UnlessEvent(name="paid")]),
    holdout=st.sampled_from([None, None, None, Holdout(key="half", percent=50.0)]),
)
