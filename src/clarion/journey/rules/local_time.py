"""Gate: each person's own time of day, by the clock on their wall. Worked out once for a zone, not for each person.

All follows from when the notification begins and from where the person is, so that who is asked again, or was held up,
hears the same. Where clocks are put forward, a time that is left out comes as long after midnight as on any other day;
where they are put back, one that comes twice counts the first time (RFC 5545 section 3.3.5 has both so).
"""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from clarion.journey.rules.ruling import Ruling
from clarion.journey.rules.zones import zone_of
from clarion.model import LOCAL_SPREAD_MS, LocalTime, Millis, Notification, Reason

_SECOND_MS = 1000
_DAY = timedelta(days=1)
_FIRST_WALL_MS = 14 * 3_600_000
"""A time is so much earlier where the day begins first than it is in UTC."""
_UTC = ZoneInfo("UTC")


def on_wall(day: date, clock: time, zone: ZoneInfo) -> Millis:
    """When a clock in this zone says so."""
    return int(datetime.combine(day, clock, zone).timestamp()) * _SECOND_MS


def day_of(local: LocalTime) -> date | None:
    """The day that it names, if it does."""
    return date.fromisoformat(local.at[:10]) if "T" in local.at else None


def clock_of(local: LocalTime) -> time:
    """The time of day."""
    return time.fromisoformat(local.at[-5:])


def begins(local: LocalTime, now: Millis) -> Millis:
    """When the first person anywhere may get it, from now on."""
    day = day_of(local)
    return now if day is None else max(now, on_wall(day, clock_of(local), _UTC) - _FIRST_WALL_MS)


def is_over(local: LocalTime, now: Millis) -> bool:
    """Whether its day has passed everywhere."""
    day = day_of(local)
    return day is not None and on_wall(day, clock_of(local), _UTC) - _FIRST_WALL_MS + LOCAL_SPREAD_MS <= now


def moment_of(local: LocalTime, zone: ZoneInfo, begins_at: Millis) -> Millis | None:
    """When it is a person's turn in a zone; None: it was before the beginning, and that is to be left out."""
    day = day_of(local) or datetime.fromtimestamp(begins_at / 1000, zone).date()
    clock = clock_of(local)
    moment = on_wall(day, clock, zone)
    if moment >= begins_at:
        return moment
    if local.passed == "skip":
        return None
    if local.passed == "at_once":
        return begins_at
    day = max(day, datetime.fromtimestamp(begins_at / 1000, zone).date() - _DAY)
    while moment < begins_at:
        day += _DAY
        moment = on_wall(day, clock, zone)
    return moment


class LocalTimeGate:
    """The gate for one notification. `now`: when it is asked; `fallback`: the zone of people who have none."""

    __slots__ = ("_begins_at", "_fallback", "_known", "_local", "_notification", "_now")

    def __init__(self, notification: Notification, local: LocalTime, fallback: str, now: Millis) -> None:
        self._notification, self._local, self._now = notification, local, now
        self._begins_at = notification.begins_at
        self._fallback = fallback
        self._known: dict[str | None, tuple[Ruling, Millis | None]] = {}

    def __call__(self, zone: str | None) -> tuple[Ruling, Millis | None]:
        """The ruling for people in this zone, and when what passes expires for them."""
        found = self._known.get(zone)
        if found is None:
            found = self._known[zone] = self._ruling(zone)
        return found

    def _ruling(self, name: str | None) -> tuple[Ruling, Millis | None]:
        known = zone_of(name)
        zone = known or zone_of(self._fallback) or _UTC
        said = f"{self._local.at} in {zone.key}" + ("" if known else ", the project's")
        moment = moment_of(self._local, zone, self._begins_at)
        if moment is None:
            return Ruling(Reason.TIME_PASSED, f"{said} was over when it began"), None
        if moment > self._now:
            return Ruling(Reason.SCHEDULE, said, moment), None
        expires_at = self._notification.expires_for(moment)
        if self._now >= expires_at and (self._now - expires_at >= _LATE_MS or self._notification.message.ttl):
            return Ruling(Reason.EXPIRED, f"{said}: ttl {self._notification.message.ttl} s is over"), None
        return Ruling(None, said), expires_at


# As in `timing`: "now or never" still has to pass through the queue.
_LATE_MS = 30_000
