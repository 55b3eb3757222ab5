"""The form of the preference page: what was filled in, against what was shown."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import UNSET, UnsetType

from clarion.api import preference_words as words_of
from clarion.api.fields import CLOCK_PATTERN
from clarion.journey.permission import Preference, Said
from clarion.model import DAY_MS, Channel, Millis, PersonPreference, PreferenceChange, QuietHours

PAUSE_MS = 30 * DAY_MS
_USUAL = ("22:00", "08:00")
_CLOCK = re.compile(CLOCK_PATTERN)


class Shown(NamedTuple):
    """What holds now."""

    categories: Sequence[Preference]
    asked: PersonPreference


class Filled(NamedTuple):
    """A form that was sent. Switches are `category/channel`: `seen` were on the page, `on` are those left on.

    `problem` names the words for what is wrong with it.
    """

    seen: frozenset[str]
    on: frozenset[str]
    pause: bool
    quiet: bool
    start: str
    end: str
    problem: str | None


def filled(fields: Mapping[str, Sequence[str]], before: QuietHours | None) -> Filled:
    """The form of a request's fields; those that nobody knows are passed over."""
    start, end = (next(iter(fields.get(name, ())), "")[:5] for name in ("quiet_start", "quiet_end"))
    quiet = "quiet" in fields
    problem = None
    if quiet and not (_CLOCK.match(start) and _CLOCK.match(end)):
        problem = "need_times"
    elif quiet and start == end and (start, end) != shown_hours(before):
        problem = "same_times"
    return Filled(
        seen=frozenset(fields.get("seen", ())),
        on=frozenset(fields.get("on", ())),
        pause="pause" in fields,
        quiet=quiet,
        start=start,
        end=end,
        problem=problem,
    )


def said(shown: Shown, form: Filled, words: dict[str, str]) -> list[Said]:
    """What is another word than before. What was not on the page, or is locked, is not touched."""
    found = []
    for one in shown.categories:
        for channel, on in one.channels.items():
            switch = f"{one.category}/{channel}"
            granted = switch in form.on
            if switch in form.seen and not one.locked and granted is not on:
                found.append(Said(one.category, Channel(channel), granted, _wording(one, channel, words)))
    return found


def _wording(one: Preference, channel: str, words: dict[str, str]) -> str:
    """A consent is worth what the person read."""
    about = f"{one.title}: {one.description}" if one.description else one.title
    return f"{about} [{words_of.channel(words, channel)}]"


def change(shown: Shown, form: Filled, now: Millis) -> PreferenceChange | None:
    """What is asked otherwise than before; None: nothing."""
    pause, hours = _pause(shown.asked, form, now), _hours(shown.asked.quiet_hours, form)
    if pause is UNSET and hours is UNSET:
        return None
    return PreferenceChange(marketing_paused_until=pause, quiet_hours=hours)


def _pause(asked: PersonPreference, form: Filled, now: Millis) -> Millis | UnsetType | None:
    """A pause that runs goes on as it is."""
    paused = (asked.marketing_paused_until or 0) > now
    if form.pause is paused:
        return UNSET
    return now + PAUSE_MS if form.pause else None


def _hours(before: QuietHours | None, form: Filled) -> QuietHours | UnsetType | None:
    """The days on which they begin are not on the page, and stay."""
    if not form.quiet:
        return UNSET if before is None else None
    if before is not None and shown_hours(before) == (form.start, form.end):
        return UNSET
    return QuietHours(start=form.start, end=form.end, days=before.days if before else None)


def shown_hours(hours: QuietHours | None) -> tuple[str, str]:
    """Start and end as a field for a time takes them: midnight is 00:00."""
    if hours is None:
        return _USUAL
    return hours.start, "00:00" if hours.end == "24:00" else hours.end
