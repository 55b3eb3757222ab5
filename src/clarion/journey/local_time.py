"""Local time: when it is next so late where a person is."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from clarion.model import WEEKDAYS, Millis
from clarion.model.automations import LocalTime, Weekdays, Within

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_DAYS = 9  # a week, and a day at either end that the clocks may have moved


def next_time(rule: LocalTime, now: Millis, zone: ZoneInfo) -> Millis:
    """The first such moment after now. A time that the clocks skip is as much later as they go forward."""
    return min(moment for moment in _moments(rule.at, rule.days, now, zone) if moment > now)


def next_window(rule: Within, now: Millis, zone: ZoneInfo) -> Millis:
    """Now if the window is open, else when it opens."""
    opens = _moments(rule.start, rule.days, now, zone)
    closes = _moments(rule.end, rule.days, now, zone)
    if any(start <= now < end for start, end in zip(opens, closes, strict=True)):
        return now
    return min(moment for moment in opens if moment > now)


def moment(day: date, at: str, zone: ZoneInfo) -> Millis:
    """When it is `at` (HH:MM) on a day there."""
    return (datetime.combine(day, time.fromisoformat(at), zone) - _EPOCH) // _MS


def local_date(now: Millis, zone: ZoneInfo) -> date:
    """The date there."""
    return (_EPOCH + now * _MS).astimezone(zone).date()


def _moments(at: str, days: Weekdays | None, now: Millis, zone: ZoneInfo) -> list[Millis]:
    today = local_date(now, zone)
    near = [today + timedelta(days=number) for number in range(-1, _DAYS)]
    return [moment(day, at, zone) for day in near if days is None or WEEKDAYS[day.weekday()] in days]
