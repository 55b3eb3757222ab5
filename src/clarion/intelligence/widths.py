"""How wide a text is, in columns: a wide character (Unicode's UAX 11) takes two, a mark none; where it may be cut."""

import re
import unicodedata

from wcwidth import iter_graphemes
from wcwidth import width as _width

ELLIPSIS = "…"
_NO_WIDTH = ("Mn", "Me", "Cf", "Cc", "Zl", "Zp")
_JOINER = "\u200d"
_PICTURE = (
    "[\U0001f000-\U0001f1e5\U0001f200-\U0001f3fa\U0001f400-\U0001faff\u2600-\u27bf\u2b1b\u2b1c\u2b50\u2b55"
    "\u231a\u231b\u23e9-\u23f3]"
)
_MORE = "[\ufe0f\U0001f3fb-\U0001f3ff]*"
_EMOJI = re.compile(
    f"[\U0001f1e6-\U0001f1ff]{{2}}|[0-9#*]\ufe0f?\u20e3|{_PICTURE}{_MORE}(?:{_JOINER}{_PICTURE}{_MORE})*"
)


def width(text: str) -> int:
    """The columns that a text takes."""
    return _width(text, control_codes="ignore")


def is_blank(text: str) -> bool:
    """Whether nothing is to be seen of a text."""
    return all(each.isspace() or unicodedata.category(each) in _NO_WIDTH for each in text)


def graphemes(text: str) -> list[str]:
    """What a reader takes for one character each (UAX 29): a letter with its accents, a flag, a family."""
    return list(iter_graphemes(text))


def beyond(text: str, limit: int) -> str:
    """The rest of a text that does not fit into so many columns."""
    return text[len(within(text, limit)) :]


def within(text: str, limit: int) -> str:
    """As much of a text as fits into so many columns; no grapheme is split."""
    if len(text) * 2 <= limit:
        return text
    fits, used = 0, 0
    for each in iter_graphemes(text):
        used += width(each)
        if used > limit:
            return text[:fits]
        fits += len(each)
    return text


def clip(text: str, limit: int, end: str = ELLIPSIS) -> str:
    """A text of at most so many columns, with `end` where it was cut; an end that does not fit is left out."""
    if width(text) <= limit:
        return text
    room = limit - width(end)
    return within(text, limit) if room < 0 else within(text, room).rstrip() + end


def emoji(text: str) -> list[str]:
    """The emoji of a text; a family, a flag or one with a skin tone is one."""
    return _EMOJI.findall(text)
