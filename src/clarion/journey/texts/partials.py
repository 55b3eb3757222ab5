"""Partials: pieces of text that many texts include, put in their place before anything is compiled."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from clarion.journey.texts.locales import best
from clarion.journey.texts.taming import LONGEST_SOURCE, Refused
from clarion.model import Partial

NO_PARTIALS: Mapping[str, Partial] = MappingProxyType({})
_INCLUDE = re.compile(r"""\{%[-+]?\s*include\b\s*(?:"([^"%]*)"|'([^'%]*)')?(.*?)[-+]?%\}""", re.DOTALL)


def expanded(source: str, partials: Mapping[str, Partial], locale: str | None) -> str:
    """The text with its partials in place, each in the language that fits best.

    Raises:
        Refused: there is no such partial, it includes itself, or it all becomes too long.
    """
    return _expanded(source, partials, locale, ()) if "include" in source else source


def _expanded(source: str, partials: Mapping[str, Partial], locale: str | None, way: tuple[str, ...]) -> str:
    pieces: list[str] = []
    at = length = 0
    for found in _INCLUDE.finditer(source):
        name = found[1] or found[2]
        if name is None or found[3].strip():
            raise Refused('include takes the name of a partial and nothing else: {% include "footer" %}')
        if name in way:
            raise Refused(f"the partial {name} includes itself: {' → '.join((*way, name))}")
        if name not in partials:
            raise Refused(f"there is no partial {name}")
        pieces += (source[at : found.start()], _inside(partials[name], partials, locale, way))
        at = found.end()
        length += len(pieces[-2]) + len(pieces[-1])
        if length > LONGEST_SOURCE:
            raise Refused(f"is longer than {LONGEST_SOURCE:,} characters with all that it includes")
    return "".join((*pieces, source[at:]))


def _inside(partial: Partial, partials: Mapping[str, Partial], locale: str | None, way: tuple[str, ...]) -> str:
    found = best(partial.locales, locale, partial.default_locale)
    return "" if found is None else _expanded(found[1], partials, locale, (*way, partial.name))
