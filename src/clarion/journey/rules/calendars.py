"""Calendars: when a person's day or week begins, whatever daylight saving does there."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from clarion.journey.rules.zones import zone_of
from clarion.model import Millis, ProjectSettings
from clarion.ports import Recipient

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_DAY = timedelta(days=1)
_UTC = ZoneInfo("UTC")


class Span(NamedTuple):
    """From its first moment to the first one after it."""

    start: Millis
    end: Millis


def zone_there(recipient: Recipient, settings: ProjectSettings) -> ZoneInfo:
    """The person's zone (else that of the device seen last, which the facts know), else the project's."""
    return zone_of(recipient.zone or recipient.timezone) or zone_of(settings.default_timezone) or _UTC


@lru_cache(maxsize=4096)
def calendar_day(now: Millis, zone: ZoneInfo) -> Span:
    """The day there: 23 or 25 hours long when the clocks change."""
    return _span(now, zone, _local(now, zone).date(), 1)


@lru_cache(maxsize=4096)
def calendar_week(now: Millis, zone: ZoneInfo) -> Span:
    """The week there, from Monday."""
    today = _local(now, zone).date()
    return _span(now, zone, today - today.weekday() * _DAY, 7)


def _span(now: Millis, zone: ZoneInfo, first: date, days: int) -> Span:
    end = _begins(first + days * _DAY, zone)
    if end <= now:  # the clock was turned back over midnight: the day that had begun begins again
        end = _ms(_midnight(first + days * _DAY, zone).replace(fold=1))
    return Span(_begins(first, zone), end)


def _begins(day: date, zone: ZoneInfo) -> Millis:
    """The first moment that bears this date, or a later one where the clocks skip it."""
    midnight = _midnight(day, zone)
    late = _ms(midnight)
    if _local(late, zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return late
    early = _ms(midnight.replace(fold=1))  # midnight was skipped: by the old offset it lies after the change
    while early + 1 < late:
        middle = (early + late) // 2
        if _local(middle, zone).date() < day:
            early = middle
        else:
            late = middle
    return late


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _local(at: Millis, zone: ZoneInfo) -> datetime:
    return (_EPOCH + at * _MS).astimezone(zone)


def _ms(moment: datetime) -> Millis:
    return (moment - _EPOCH) // _MS
