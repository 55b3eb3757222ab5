"""Claims: the numbers, percents, amounts of money, dates and times that a text states, and what bears them out.

Unicode's compatibility forms are read as what they stand for (NFKC): a full-width 5 is a 5.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

from clarion.intelligence.honesty import calendar_words
from clarion.intelligence.honesty.lexicons import LETTER, Folded, fold, languages

Kind: TypeAlias = Literal["number", "percent", "currency", "date"]

_NUMBER = r"\d{1,3}(?:[.,'\u00a0\u202f]\d{3})+(?:[.,]\d{1,2})?(?!\d)|\d{1,18}(?:[.,]\d{1,6})?"
_SIGNS = {"€": "eur", "$": "usd", "£": "gbp", "¥": "jpy", "₹": "inr", "euro": "eur", "euros": "eur", "us$": "usd",
          "dollar": "usd", "dollars": "usd", "dolares": "usd", "pounds": "gbp", "pfund": "gbp"}  # fmt: skip
_CODES = ("eur", "usd", "gbp", "jpy", "inr", "chf", "cad", "aud", "sek", "nok", "dkk", "pln", "brl", "mxn", "kr", "zł",
          "₽", "₩", "₺", "₴", "₪", "฿")  # fmt: skip
_MONEY = "|".join(re.escape(sign) for sign in sorted([*_SIGNS, *_CODES], key=len, reverse=True))
_PERCENT = re.compile(
    rf"(?<!{LETTER})(?<![.,])({_NUMBER})\s?(?:%|٪|‰|(?:percent|per cent|prozent|pour cent|por ciento)\b)"
)
_CURRENCY = re.compile(
    rf"(?<!{LETTER})(?<![.,])(?:({_MONEY})\s?({_NUMBER})([km]\b)?|({_NUMBER})([km]\b)?\s?({_MONEY})(?!{LETTER}))"
)
_PLAIN = re.compile(rf"(?<!{LETTER})(?<!#)(?<!{LETTER}[-.,'/])(?!24/7\b)({_NUMBER})(?!{LETTER})")
_GROUPS = re.compile(r"[.,'\u00a0\u202f](?=\d{3}(?:\D|$))")
_TIMES = {"k": 1_000, "m": 1_000_000}
_LIMIT, _LONGEST = 1_000, 500


class Claim(NamedTuple):
    """What a text states. `meant`: what it may mean, in a form that can be compared; `part`: as it is written."""

    kind: Kind
    meant: frozenset[Any]
    part: str


class Known(NamedTuple):
    """What data bears out: its numbers and moments, and what its texts state."""

    numbers: frozenset[Decimal]
    moments: list[date]
    claims: list[Claim]


@lru_cache(maxsize=256)
def claims(text: str, locale: str | None) -> tuple[Claim, ...]:
    """The claims of a text, in order of kind. What is part of a word, as in A-17 or 5G, is a name and no claim."""
    whole = unicodedata.normalize("NFKC", text)
    folded = fold(whole)
    taken = bytearray(len(folded.text))
    return tuple(
        Claim(kind, meant, folded.part(whole, found))
        for kind, meant, found in _all(folded, locale)
        if _take(taken, found)
    )


def _all(folded: Folded, locale: str | None) -> Iterator[tuple[Kind, frozenset[Any], re.Match[str]]]:
    for found in _CURRENCY.finditer(folded.text):
        sign, number, times = (found[1], found[2], found[3]) if found[1] else (found[6], found[4], found[5])
        values = {value * _TIMES.get(times or "", 1) for value in _values(number)}
        yield "currency", frozenset((_SIGNS.get(sign, sign), value) for value in values), found
    for found in _PERCENT.finditer(folded.text):
        yield "percent", frozenset(_values(found[1])), found
    for dated in calendar_words.dates(folded.text, locale):
        yield "date", dated.forms, dated.found
    for found in _PLAIN.finditer(folded.text):
        yield "number", frozenset(_values(found[1])), found


def _take(taken: bytearray, found: re.Match[str]) -> bool:
    """A place in a text states one thing: who comes first has it."""
    start, end = found.span()
    if any(taken[start:end]):
        return False
    taken[start:end] = b"\1" * (end - start)
    return True


def _values(number: str) -> set[Decimal]:
    """What a number may be: 1.000 is a thousand for some and one for others."""
    without_groups = _GROUPS.sub("", number)
    forms = {without_groups.replace(",", "."), number.replace(",", ".")}
    return {value for form in forms if (value := _decimal(form)) is not None}


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


class Facts:
    """The data of a message, of which it is worked out once a language what it bears out."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self._known: dict[tuple[str, ...], Known] = {}

    def known(self, locale: str | None) -> Known:
        """What it bears out; only the first thousand values, and the beginnings of long texts, are looked at."""
        spoken = languages(locale)
        if spoken not in self._known:
            self._known[spoken] = _known(self._data, locale)
        return self._known[spoken]


def _known(data: Mapping[str, Any], locale: str | None) -> Known:
    numbers, moments, stated = set[Decimal](), list[date](), list[Claim]()
    for value in _leaves(data):
        if isinstance(value, str):
            at = calendar_words.moment(value)
            if at is not None:
                moments.append(at)
            stated += claims(value[:_LONGEST], locale)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers.add(Decimal(str(value)) if isinstance(value, float) else Decimal(value))
    numbers |= {value for claim in stated if claim.kind == "number" for value in claim.meant}
    return Known(frozenset(numbers), moments, stated)


def _leaves(data: Mapping[str, Any]) -> Iterator[Any]:
    waiting, seen = list[Any](data.values()), 0
    while waiting and seen < _LIMIT:
        value, seen = waiting.pop(), seen + 1
        if isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        else:
            yield value


def is_borne_out(claim: Claim, said: Sequence[Claim], data: Known) -> bool:
    """Whether the body states the same, or the data holds it: 50 or 0.5 for 50 %, 1999 cents or 19.99 for 19.99 €."""
    for other in (*said, *data.claims):
        if other.kind == claim.kind and other.meant & claim.meant:
            return True
        if claim.kind == "number" and other.kind != "date" and claim.meant & _amounts(other):
            return True
    if claim.kind == "date":
        return calendar_words.bears_out(data.moments, claim.meant)
    return any(_forms(claim.kind, value) & data.numbers for value in _amounts(claim))


def _amounts(claim: Claim) -> frozenset[Any]:
    return frozenset(value for _, value in claim.meant) if claim.kind == "currency" else claim.meant


def _forms(kind: Kind, value: Decimal) -> set[Decimal]:
    if kind == "percent":
        return {value, value / 100}
    return {value, value * 100} if kind == "currency" else {value}
