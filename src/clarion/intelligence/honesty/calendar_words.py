"""Dates and times as people write them, in the languages that we know, in one form that can be compared.

Forms: `("day", month, day)`, `("weekday", 0…6)` from Monday, `("word", "tomorrow")`, `("time", minutes)`,
`("hours", number)`.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from clarion.intelligence.honesty.lexicons import LETTER, fold, languages

Form = tuple[Any, ...]

_MONTHS = {
    "en": "january february march april may june july august september october november december",
    "de": "januar februar märz april mai juni juli august september oktober november dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
}
_SHORT_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec"
_WEEKDAYS = {
    "en": "monday tuesday wednesday thursday friday saturday sunday",
    "de": "montag dienstag mittwoch donnerstag freitag samstag sonntag",
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "es": "lunes martes miércoles jueves viernes sábado domingo",
}
_WORDS = {
    "en": {"today": "today", "tonight": "tonight", "tomorrow": "tomorrow", "midnight": "midnight", "noon": "noon"},
    "de": {
        "heute": "today",
        "heute abend": "tonight",
        "heute nacht": "tonight",
        "mitternacht": "midnight",
        "mittags": "noon",
    },
    "fr": {"aujourd'hui": "today", "ce soir": "tonight", "demain": "tomorrow", "minuit": "midnight", "midi": "noon"},
    "es": {"hoy": "today", "esta noche": "tonight", "medianoche": "midnight", "mediodía": "noon"},
}

_ISO = re.compile(r"(?<!\d)\d{4}-(\d\d)-(\d\d)(?!\d)")
_NUMERIC = re.compile(r"(?<![\w./-])(\d{1,2})(?:\.(\d{1,2})\.|/(\d{1,2}))(?:/?\d{4}|/?\d\d)?(?![\w/])")
_CLOCK = re.compile(
    rf"(?<!{LETTER})(?<![:.,])(?:([01]?\d|2[0-4])(?::|[.](?=\d\d\s?(?:uhr|h|[ap]\.?m)\b))([0-5]\d)(?:\s?([ap])\.?m\b\.?|\s?(?:uhr|h)\b)?"
    r"|(\d{1,2})\s?([ap])\.?m\b\.?|(\d{1,2})\s?uhr\b|([01]?\d|2[0-3])\s?h([0-5]\d)\b)(?![\w:])"
)
_HOURS = re.compile(r"(?<![\w.,:/-])(\d{1,3})\s?(?:h|hrs?)\b")
_ALWAYS = "24/7"
_MINUTES_OF_DAY = 24 * 60


class Dated(NamedTuple):
    """A date or a time in a text: what it may mean, and where it stands (in the folded text)."""

    forms: frozenset[Form]
    found: re.Match[str]


class _Names(NamedTuple):
    months: dict[str, int]
    weekdays: dict[str, int]
    words: dict[str, str]
    named_day: re.Pattern[str]
    name: re.Pattern[str]


@lru_cache(maxsize=16)
def _names(known: tuple[str, ...]) -> _Names:
    months = {short: at for at, short in enumerate(_SHORT_MONTHS.split(), 1)}
    for one in known:
        months |= {fold(name).text: at for at, name in enumerate(_MONTHS[one].split(), 1)}
    weekdays = {fold(name).text: at for one in known for at, name in enumerate(_WEEKDAYS[one].split())}
    words = {fold(name).text: meant for one in known for name, meant in _WORDS[one].items()}
    month = "|".join(sorted(months, key=len, reverse=True))
    named_day = re.compile(
        rf"(?<![\w.,])(?:(\d{{1,2}})(?:\.|st|nd|rd|th|er)?\s?(?:of\s|de\s|d')?({month})"
        rf"|({month})\.?\s(\d{{1,2}})(?:st|nd|rd|th)?)\b(?:,?\s\d{{4}}\b)?"
    )
    name = re.compile(rf"(?<!\w)(?:{'|'.join(sorted([*weekdays, *words], key=len, reverse=True))})(?!\w)")
    return _Names(months, weekdays, words, named_day, name)


def dates(folded: str, locale: str | None) -> Iterator[Dated]:
    """Every date and time in a folded text; they do not overlap with one another, save by mistake."""
    names = _names(languages(locale))
    for found in _ISO.finditer(folded):
        yield Dated(frozenset({("day", int(found[1]), int(found[2]))}), found)
    for found in names.named_day.finditer(folded):
        day, month = (found[1], found[2]) if found[1] else (found[4], found[3])
        yield Dated(frozenset({("day", names.months[month], int(day))}), found)
    for found in _NUMERIC.finditer(folded):
        one, other = int(found[1]), int(found[2] or found[3])
        if found[0] != _ALWAYS:
            yield Dated(frozenset({("day", other, one), ("day", one, other)}), found)
    for found in _CLOCK.finditer(folded):
        yield Dated(frozenset({("time", _minutes(found))}), found)
    for found in _HOURS.finditer(folded):
        yield Dated(frozenset({("hours", int(found[1]))}), found)
    for found in names.name.finditer(folded):
        weekday = names.weekdays.get(found[0])
        yield Dated(frozenset({("word", names.words[found[0]]) if weekday is None else ("weekday", weekday)}), found)


def _minutes(found: re.Match[str]) -> int:
    hour = int(found[1] or found[4] or found[6] or found[7])
    half = found[3] or found[5]
    if half and hour <= 12:  # noqa: PLR2004 - on a clock's face
        hour = hour % 12 + 12 * (half == "p")
    return (hour * 60 + int(found[2] or found[8] or 0)) % _MINUTES_OF_DAY


def moment(text: str) -> date | None:
    """A date or time as data holds it, in ISO 8601; None if the text is none."""
    try:
        return datetime.fromisoformat(text) if len(text) > len("2026-01-01") else date.fromisoformat(text)
    except ValueError:
        return None


def bears_out(moments: list[date], forms: frozenset[Form]) -> bool:
    """Whether moments in data may be what a text says: a day by its date; a time, which depends on the zone, by any."""
    return any(_may_mean(each, form) for each in moments for form in forms)


def _may_mean(at: date, form: Form) -> bool:
    match form:
        case ("day", month, day):
            return bool(at.month == month and at.day == day)
        case ("weekday", weekday):
            return bool(at.weekday() == weekday)
        case ("word", _):
            return True
        case _:
            return isinstance(at, datetime)
