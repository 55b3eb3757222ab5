"""Quiet hours as callers tell of them: what would contradict itself is refused with the field named."""

from datetime import datetime
from typing import Literal

from clarion.api.fields import millis
from clarion.api.schemas import CategoryPut, OwnPreferencesPut, QuietHoursBody
from clarion.errors import InvalidRequest
from clarion.model import WEEKDAYS, CategoryClass, PreferenceChange, QuietHours


def quiet_hours(body: QuietHoursBody, field: str = "quiet_hours") -> QuietHours:
    """Quiet hours that end. Raises InvalidRequest naming the field."""
    days = None if body.days is None else tuple(day for day in WEEKDAYS if day in body.days)
    if days == WEEKDAYS:
        days = None
    if body.start == body.end:
        words = f"must differ from {field}.start: such a window never opens; a whole day is 00:00 to 24:00, with days"
        raise InvalidRequest.field(f"{field}.end", words)
    if (body.start, body.end, days) == ("00:00", "24:00", None):
        raise InvalidRequest.field(f"{field}.days", "must leave out a day: a window of all days never opens")
    return QuietHours(start=body.start, end=body.end, days=days)


def preference_change(body: OwnPreferencesPut) -> PreferenceChange:
    """What somebody asks for themselves. Raises InvalidRequest naming the field."""
    hours, until = body.quiet_hours, body.marketing_paused_until
    return PreferenceChange(
        quiet_hours=quiet_hours(hours) if isinstance(hours, QuietHoursBody) else hours,
        marketing_paused_until=millis(until, "marketing_paused_until") if isinstance(until, datetime) else until,
    )


def of_category(body: CategoryPut) -> QuietHours | Literal["none"] | None:
    """A category's own quiet hours. Raises InvalidRequest where they contradict its class."""
    told, class_ = body.quiet_hours, body.class_
    if told is None:
        return None
    if told == "none":
        if class_ is CategoryClass.MARKETING:
            raise InvalidRequest.field("quiet_hours", "cannot be none: marketing never passes quiet hours")
        return "none"
    if class_ is CategoryClass.MANDATORY:
        raise InvalidRequest.field("quiet_hours", "must be left out: mandatory messages pass quiet hours")
    return quiet_hours(told)
