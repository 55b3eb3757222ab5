"""Screens: how much of a title and a body is shown before it is cut. The one table for rules, previews and documents.

Neither Apple, Google nor Mozilla publishes it; it depends on device, font and version. The figures are the lower ends
of what vendors of push services measured (Braze, Batch, PushOwl, Emarsys, Alibaba Cloud): docs/guides/words.md has the
sources.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from clarion.intelligence.widths import ELLIPSIS, clip, graphemes, width, within


class Room(NamedTuple):
    """Lines of so many columns."""

    lines: int
    columns: int

    @property
    def all(self) -> int:
        """Columns of all lines."""
        return self.lines * self.columns


class Screen(NamedTuple):
    """One place where a notification is shown. `platform`: whose; `roomiest`: where that platform shows most."""

    platform: str
    name: str
    title: Room
    body: Room
    roomiest: bool = True


IPHONE, ANDROID, CHROME, FIREFOX = "iphone", "android", "chrome", "firefox"
PLATFORMS = (IPHONE, ANDROID, CHROME, FIREFOX)
_MACOS = Room(1, 42), Room(2, 44)

SCREENS = (
    Screen(IPHONE, "iPhone, lock screen", Room(1, 40), Room(4, 40)),
    Screen(IPHONE, "iPhone, banner", Room(1, 40), Room(2, 40), roomiest=False),
    Screen(ANDROID, "Android, unfolded", Room(1, 49), Room(5, 48)),
    Screen(ANDROID, "Android, folded", Room(1, 49), Room(1, 49), roomiest=False),
    Screen(CHROME, "Chrome on Windows", Room(2, 32), Room(4, 30)),
    Screen(CHROME, "Chrome on macOS", *_MACOS),
    Screen(FIREFOX, "Firefox on Windows", Room(1, 50), Room(4, 50)),
    Screen(FIREFOX, "Firefox on macOS", *_MACOS),
)


class Cut(NamedTuple):
    """A text as a screen shows it; `is_cut`: the last line ends in an ellipsis, and the rest is not to be seen."""

    lines: list[str]
    is_cut: bool


def cut(text: str, room: Room) -> Cut:
    """As screens do: broken between words where that is possible, else within one; the rest is an ellipsis."""
    shown: list[str] = []
    lines = _lines(text.strip(), room.columns)
    for line in lines:
        if len(shown) == room.lines:
            last = shown[-1]
            fits = width(last) + width(ELLIPSIS) <= room.columns
            shown[-1] = last + ELLIPSIS if fits else clip(last + ELLIPSIS * 2, room.columns)
            return Cut(shown, is_cut=True)
        shown.append(line)
    return Cut(shown, is_cut=False)


def _lines(text: str, columns: int) -> Iterator[str]:
    for paragraph in text.splitlines():
        yield from _wrapped(paragraph.split(), columns)


def _wrapped(words: Iterable[str], columns: int) -> Iterator[str]:
    line = ""
    for word in words:
        joined = f"{line} {word}" if line else word
        if width(joined) <= columns:
            line = joined
            continue
        if line:
            yield line
        line = word
        while width(line) > columns:
            piece = within(line, columns) or graphemes(line)[0]
            yield piece
            line = line[len(piece) :]
    yield line
