"""Schedules: when something that is planned runs next, and what becomes of a run that was missed.

A cron expression is read as Debian's cron does it, also where clocks change: a time that is left out runs right after
the change, one that comes twice runs once; what runs every hour or oftener goes by the hours that there really are.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from cronsim import CronSim, CronSimError

from clarion.errors import FieldError
from clarion.journey.rules import local_time
from clarion.journey.rules.zones import zone_of
from clarion.model import LocalTime, Millis, Schedule

YEARS_AHEAD = 8
"""A cron that does not run within so many years is a mistake; 29 February comes after eight at the latest."""
_FIELDS = 5
_LAST_DAY = date(9998, 12, 31)
"""On the last of them all it would be later somewhere than there are years."""
_NEVER = date.max
_SECOND_MS = 1000


def cron_times(expression: str, zone: str, after: Millis) -> Iterator[Millis]:
    """Moments later than `after`, in order, for some years. Raises CronSimError."""
    begin = datetime.fromtimestamp(after / 1000, zone_of(zone) or UTC)
    end = begin + timedelta(days=366 * YEARS_AHEAD)
    for moment in CronSim(expression, begin):
        if moment > end:
            return
        at = int(moment.timestamp()) * _SECOND_MS
        if at > after:
            yield at


def first_run(schedule: Schedule, now: Millis) -> Millis | None:
    """When something that is started now runs first: at once, unless it is planned. None: never."""
    if schedule.cron is not None:
        return _next(schedule, now)
    if schedule.at is not None:
        return max(schedule.at, now)
    return now if schedule.local_time is None else local_time.begins(schedule.local_time, now)


def _next(schedule: Schedule, after: Millis) -> Millis | None:
    if schedule.cron is None:
        return None
    return next(cron_times(schedule.cron, schedule.timezone or "UTC", after), None)


def local_time_of(schedule: Schedule, run: Millis) -> LocalTime | None:
    """By whose clock people get a run: on the day on which cron has it, in its own zone, wherever they are."""
    local = schedule.local_time
    if local is None or schedule.cron is None:
        return local
    day = datetime.fromtimestamp(run / 1000, zone_of(schedule.timezone) or UTC).date()
    return LocalTime(at=f"{day.isoformat()}T{local.at}", passed=local.passed)


class Turn(NamedTuple):
    """What is to be done when a run is due. `run`: its moment, None where it is skipped; `skipped`: how many were."""

    run: Millis | None
    skipped: int
    next: Millis | None


def turn(schedule: Schedule, due_at: Millis, now: Millis) -> Turn:
    """The run that is due, or the last one of those that are.

    Of several that were missed only the last is caught up with: nobody wants three days' news at once.
    """
    missed = 0
    latest, following = due_at, _next(schedule, due_at)
    while following is not None and following <= now:
        missed += 1
        latest, following = following, _next(schedule, following)
    late = now - latest > schedule.tolerance_s * _SECOND_MS
    if late and schedule.missed == "skip":
        return Turn(None, missed + 1, following)
    return Turn(latest, missed, following)


def check(schedule: Schedule, now: Millis) -> list[FieldError]:
    """What can never run."""
    found = check_local_time(schedule.local_time, now) if schedule.local_time is not None else []
    if schedule.at is not None and now - schedule.at > schedule.tolerance_s * _SECOND_MS:
        found.append(FieldError("at", "is over"))
    if schedule.cron is None:
        return found
    if len(schedule.cron.split()) != _FIELDS:
        return [FieldError("cron", "must have five fields: minute, hour, day, month, weekday"), *found]
    try:
        if _next(schedule, now) is None:
            found.append(FieldError("cron", f"never runs within the next {YEARS_AHEAD} years"))
    except (CronSimError, ValueError) as error:  # of digits that are none, such as ¹
        found.append(FieldError("cron", f"never runs, or is none such as 0 9 * * 1-5: {str(error).lower()}"))
    return found


def check_local_time(local: LocalTime, now: Millis, field: str = "local_time") -> list[FieldError]:
    """What is no time, or is over everywhere."""
    try:
        local_time.clock_of(local)
        day = local_time.day_of(local)
        over = local_time.is_over(local, now)
    except ValueError:
        day, over = _NEVER, False
    if day is not None and day > _LAST_DAY:
        return [FieldError(field, "must be a time such as 09:00 or 2026-12-01T09:00")]
    if over and local.passed != "at_once":
        return [FieldError(field, "is over everywhere")]
    return []
