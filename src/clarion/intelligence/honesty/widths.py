"""How much of a text a screen shows, in columns: a wide character (Unicode's UAX 11) takes two, a mark none.

What a platform shows depends on the device, its fonts and its version. The figures are the lower ends of what vendors
of push services publish (Braze, Batch, PushOwl, Alibaba Cloud); docs/decisions/0023 has the sources.
"""

import re
import unicodedata
from typing import NamedTuple


class Platform(NamedTuple):
    """How many columns are shown before a text is cut; of the body, unfolded where that is possible."""

    name: str
    title: int
    body: int


PLATFORMS = (
    Platform("iPhone", 40, 160),
    Platform("Chrome and Firefox on macOS", 42, 88),
    Platform("Android", 49, 240),
    Platform("Firefox on Windows", 50, 200),
    Platform("Chrome on Windows", 64, 121),
)

_WIDE = ("W", "F")
_NO_WIDTH = ("Mn", "Me", "Cf", "Cc")
_JOINER, _AS_EMOJI = "\u200d", "\ufe0f"
_TONES = range(0x1F3FB, 0x1F400)
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
    return sum(_columns(text))


def is_blank(text: str) -> bool:
    """Whether nothing is to be seen of a text."""
    return not width("".join(text.split()))


def _columns(text: str) -> list[int]:
    """By character. What is joined to the character before it, as in a family of emoji, takes none."""
    columns, before = list[int](), ""
    for each in text:
        if each == _AS_EMOJI and columns and columns[-1] == 1:
            columns[-1] = 2
        joined = before == _JOINER or ord(each) in _TONES
        columns.append(0 if joined or unicodedata.category(each) in _NO_WIDTH else _width_of(each))
        before = each
    return columns


def _width_of(each: str) -> int:
    return 2 if unicodedata.east_asian_width(each) in _WIDE else 1


def beyond(text: str, limit: int) -> str:
    """The rest of a text that does not fit into so many columns."""
    total = 0
    for at, columns in enumerate(_columns(text)):
        total += columns
        if total > limit:
            return text[at:]
    return ""


def emoji(text: str) -> list[str]:
    """The emoji of a text; a family, a flag or one with a skin tone is one."""
    return _EMOJI.findall(text)
