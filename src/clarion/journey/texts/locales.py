"""Languages: from the most exact to ever more general, and how a language writes numbers, money and dates."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TypeVar

from babel import Locale, UnknownLocaleError

T = TypeVar("T")
FALLBACK = "en"


def tag(locale: str) -> str:
    """One way of writing it."""
    return locale.lower().replace("_", "-")


def chain(locale: str | None) -> Iterator[str]:
    """`de-AT`, `de`. RFC 4647 section 3.4: the last subtag goes, and with it a single letter or digit before it."""
    wanted = tag(locale or "")
    while wanted:
        yield wanted
        wanted = re.sub(r"(-\w)?-?[^-]*$", "", wanted)


def best(texts: Mapping[str, T], locale: str | None, default: str) -> tuple[str, T] | None:
    """The text for a person and its language: exact, then ever more general, then the default, then any."""
    by_tag = {tag(name): (name, text) for name, text in texts.items()}
    for wanted in (*chain(locale), tag(default)):
        if wanted in by_tag:
            return by_tag[wanted]
    return next(iter(by_tag.values()), None)


def spoken(person: str | None, text: str | None) -> str | None:
    """Whose way of writing numbers and dates a text follows: the person's (de-AT), if it is in their language (de)."""
    if text is None or (person is not None and tag(person).partition("-")[0] == tag(text).partition("-")[0]):
        return person
    return text


@lru_cache(maxsize=1_024)
def conventions(locale: str | None) -> Locale:
    """What CLDR knows of a language; English where it knows nothing."""
    for wanted in (*chain(locale), FALLBACK):
        try:
            return Locale.parse(wanted, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    raise AssertionError(FALLBACK)
