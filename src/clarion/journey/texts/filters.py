"""Filters of texts: money, numbers, dates and plurals as the person's language writes them, in their time zone."""

import datetime as dt
from collections.abc import Callable, Iterator
from copy import copy
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from inspect import signature
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import dates, numbers
from minijinja import Environment, TemplateError

from clarion.intelligence.widths import clip
from clarion.journey.texts.locales import conventions
from clarion.journey.texts.taming import ADDEND, DEFAULTS, KNOWN, NUMBER, OWN_FILTERS, WHOLE

MOST_FORMATTED: Final = 100
"""Values that one text may format: each costs ten times what another step does."""
MOST_IN_RANGE: Final = 1_000
_STYLES: Final = ("short", "medium", "long", "full")
_FORMS: Final = ("zero", "one", "two", "few", "many", "other")
_MOST_DIGITS: Final = 15
"""Before the point: with ten decimals, and a hundredfold as a percentage, Python's 28 are enough."""
_MILLIS_FROM: Final = 1e11
"""A number from here on counts milliseconds, below it seconds: as seconds it would lie after the year 5000."""


STAND_IN: Final = "…"


class Anything:
    """Stands for a value that is not known yet: has every field, can be called, and reads as `shown`."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def __getattr__(self, name: str) -> "Anything":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, _key: object) -> "Anything":
        return self

    def __call__(self, *_values: object, **_named: object) -> "Anything":
        return self

    def __iter__(self) -> Iterator["Anything"]:
        yield self  # or Python would ask for one item after the other, without an end

    def __str__(self) -> str:
        return self._shown


class Misused(TemplateError):
    """A filter is told something that no value mends."""


class Filters:
    """The filters in one language. `begin` before each text says whose clock counts."""

    def __init__(self, locale: str | None = None, text_locale: str | None = None) -> None:
        """`locale`: whose way of writing numbers; `text_locale`: whose grammar, if it is another one."""
        self._locale = locale
        self._grammar = text_locale or locale
        self._zone = "UTC"
        self._formatted = 0

    def begin(self, zone: str = "UTC") -> None:
        """Another person, and another text."""
        self._zone, self._formatted = zone, 0

    def add_to(self, env: Environment) -> None:
        """All of them, what guards arithmetic, and the engine's own by which a text asks for what is missing."""
        for name in OWN_FILTERS:
            env.add_filter(name, _told_right(name, getattr(self, name)))
        env.add_filter(NUMBER, _number)
        env.add_filter(ADDEND, _addend)
        env.add_filter(KNOWN, _known)
        env.add_filter(WHOLE, _whole)
        for name in DEFAULTS:
            env.add_filter(name, _told_right(name, default))
        for name in ("undefined", "none"):
            env.add_test(name, _is_missing)
        env.add_test("defined", _is_there)

    def money(self, value: Any, currency: str | None = None) -> str:
        """€1,234.50 or 1.234,50 €; `currency` is a code of ISO 4217."""
        code = _currency(currency)
        if isinstance(value, Anything):
            return str(value)
        return _money(self._decimal("money", value), code, self._locale)

    def number(self, value: Any, digits: int | None = None) -> str:
        """12,345.6; `digits` rounds."""
        return self._plain("number", value, digits)

    def percent(self, value: Any, digits: int = 0) -> str:
        """25% for 0.25."""
        return self._plain("percent", value, digits)

    def _plain(self, filter: str, value: Any, digits: int | None) -> str:
        wanted = _digits(filter, digits)
        if isinstance(value, Anything):
            return str(value)
        number = self._decimal(filter, value)
        return _decimal_text(number, wanted, self._locale, percent=filter == "percent")

    def date(self, value: Any, style: str = "medium") -> str:
        """Dec 24, 2026."""
        wanted = _style("date", style)
        if isinstance(value, Anything):
            return str(value)
        return dates.format_date(self._moment("date", value), wanted, locale=conventions(self._locale))

    def time(self, value: Any, style: str = "short") -> str:
        """5:30 PM."""
        wanted = _style("time", style)
        if isinstance(value, Anything):
            return str(value)
        moment = self._clocked("time", value)
        return dates.format_time(moment, wanted, tzinfo=moment.tzinfo, locale=conventions(self._locale))

    def datetime(self, value: Any, style: str = "medium") -> str:
        """Dec 24, 2026, 5:30:00 PM."""
        wanted = _style("datetime", style)
        if isinstance(value, Anything):
            return str(value)
        moment, language = self._clocked("datetime", value), conventions(self._locale)
        return dates.format_datetime(moment, wanted, tzinfo=moment.tzinfo, locale=language)

    def plural(self, count: Any, **forms: str) -> str:
        """comment, comments: the form for a number, by CLDR's rules of the text's language."""
        for name in forms:
            if name not in _FORMS:
                raise Misused(f"plural: {name} is no form; there are {', '.join(_FORMS)}")
        if "other" not in forms:
            raise Misused("plural: needs other=, for every number that has no form of its own")
        if isinstance(count, Anything):
            return str(forms["other"])
        amount = self._decimal("plural", count)
        return str(forms.get(conventions(self._grammar).plural_form(abs(amount)), forms["other"]))

    def truncate_width(self, text: Any, width: int = 40, end: str = "…") -> str:
        """At most so many columns; an emoji is never cut in two."""
        self._count("truncate_width")
        if not isinstance(width, int) or width < 1:
            raise _unfit(width, "truncate_width: takes a number of columns, 1 or more")
        return clip(str(text), width, str(end))

    def _decimal(self, filter: str, value: Any) -> Decimal:
        self._count(filter)
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            try:
                number = Decimal(str(value).strip())
            except InvalidOperation:
                number = Decimal("NaN")
            if number.is_finite() and -_MOST_DIGITS <= number.adjusted() < _MOST_DIGITS:
                return number
        raise TemplateError(f"{filter}: takes a number, not {_kind(value)}")

    def _moment(self, filter: str, value: Any) -> dt.date:
        """A day, or a moment on the person's clock. What has no zone is on that clock already."""
        self._count(filter)
        try:
            if isinstance(value, str):
                if "T" not in value and " " not in value and ":" not in value:
                    return dt.date.fromisoformat(value)
                at = dt.datetime.fromisoformat(value)
                return at.replace(tzinfo=_zone(self._zone)) if at.tzinfo is None else at.astimezone(_zone(self._zone))
            if isinstance(value, int | float) and not isinstance(value, bool):
                seconds = value / 1000 if abs(value) >= _MILLIS_FROM else value
                return dt.datetime.fromtimestamp(seconds, dt.UTC).astimezone(_zone(self._zone))
        except (ValueError, OverflowError, OSError):
            pass
        raise TemplateError(
            f"{filter}: takes a time such as 2026-12-24T17:30:00Z or seconds since 1970, not {_kind(value)}"
        )

    def _clocked(self, filter: str, value: Any) -> dt.datetime:
        moment = self._moment(filter, value)
        if isinstance(moment, dt.datetime):
            return moment
        return dt.datetime.combine(moment, dt.time(), _zone(self._zone))

    def _count(self, filter: str) -> None:
        self._formatted += 1
        if self._formatted > MOST_FORMATTED:
            raise TemplateError(f"{filter}: a text formats at most {MOST_FORMATTED} values")


def bounded_range(start: int, stop: int | None = None, step: int = 1) -> list[int]:
    """`range`, of a thousand numbers at most."""
    numbers_ = range(start) if stop is None else range(start, stop, step)
    if len(numbers_) > MOST_IN_RANGE:
        raise TemplateError(f"range: has more than {MOST_IN_RANGE} numbers")
    return list(numbers_)


def default(value: Any, other: Any = "", lax: Any = False) -> Any:
    """`other` in place of what is missing; with `lax` of what is empty, zero or false as well."""
    return other if value is None or (lax and not value) else value


def _is_missing(value: Any) -> bool:
    """The engine hands over None for what is not there: null is the same."""
    return value is None


def _is_there(value: Any) -> bool:
    return value is not None


def _known(value: Any, told: str) -> Any:
    """`told`: how the text calls it."""
    if value is None:
        raise TemplateError(f"undefined value: `{told}` is undefined or null")
    return value


def _whole(value: Any, told: str) -> Any:
    """Of a list, each item too."""
    if isinstance(_known(value, told), list | tuple) and None in value:
        raise TemplateError(f"undefined value: an item of `{told}` is undefined or null")
    return value


def _number(value: Any, told: str) -> Any:
    if isinstance(_known(value, told), int | float | Anything):
        return value
    raise TemplateError(f"* takes numbers, and `{told}` is {_kind(value)}")


def _addend(value: Any, told: str) -> Any:
    if isinstance(_known(value, told), int | float | str | Anything):
        return value
    raise TemplateError(f"+ takes numbers or texts, and `{told}` is {_kind(value)}")


def _kind(value: Any) -> str:
    """What it is, without what it says: that may be personal."""
    kinds = ((bool, "true or false"), (str, "a text"), (int | float, "such a number"), (list | tuple, "a list"))
    return next((words for kind, words in kinds if isinstance(value, kind)), "nothing" if value is None else "a map")


def _style(filter: str, style: Any) -> Any:
    if style not in _STYLES:
        raise _unfit(style, f"{filter}: takes {', '.join(_STYLES)}")
    return style


def _digits(filter: str, digits: Any) -> int | None:
    if digits is None or (isinstance(digits, int) and 0 <= digits <= 10):  # noqa: PLR2004 - more is noise
        return digits
    raise _unfit(digits, f"{filter}: takes 0 to 10 digits")


def _currency(code: Any) -> str:
    if isinstance(code, str) and code.upper() in conventions("en").currencies:
        return code.upper()
    raise _unfit(code, "money: takes a currency of ISO 4217 such as EUR")


def _unfit(told: Any, words: str) -> TemplateError:
    """What is made of a value that is not known yet may become right."""
    return TemplateError(words) if isinstance(told, Anything) or STAND_IN in str(told) else Misused(words)


def _told_right(name: str, filter: Callable[..., str]) -> Callable[..., str]:
    """The same, which says in our words that it was given too much, too little, or something of another name."""

    def called(*values: Any, **named: Any) -> str:
        try:
            return filter(*values, **named)
        except TypeError:
            expected = signature(filter)
            try:
                expected.bind(*values, **named)
            except TypeError:
                raise Misused(f"{name}: takes {', '.join(list(expected.parameters)[1:])} and nothing else") from None
            raise

    return called


@lru_cache(maxsize=8_192)
def _money(value: Decimal, currency: str, locale: str | None) -> str:
    return numbers.format_currency(value, currency, locale=conventions(locale))


@lru_cache(maxsize=8_192)
def _decimal_text(value: Decimal, digits: int | None, locale: str | None, *, percent: bool) -> str:
    language = conventions(locale)
    pattern = copy((language.percent_formats if percent else language.decimal_formats)[None])
    if digits is not None:
        pattern.frac_prec = (digits, digits)
    return str(pattern.apply(value, language))


@lru_cache(maxsize=1_024)
def _zone(name: str) -> dt.tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return dt.UTC
