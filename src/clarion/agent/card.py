"""From a payload to what stands on the screen: words, sound, urgency, and what a locked screen must not tell."""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from clarion.model import CategoryClass, LockScreen
from clarion.wire.payload import WebPayload

GENERIC = "There is something new for you."
DEFAULT_SOUND = "default"
# What no system's notification service takes.
_UNSHOWABLE = dict.fromkeys([0, *range(0xD800, 0xE000)])


class Weight(StrEnum):
    """The three levels that desktops know. `CRITICAL` breaks through "do not disturb"."""

    LOW = "low"
    NORMAL = "normal"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Card:
    """One notification as the screen gets it. The same `id` takes the place of an older one."""

    id: str
    title: str
    body: str
    weight: Weight = Weight.NORMAL
    sound: str | None = None
    stays: bool = False
    """Until somebody answers it."""
    buttons: tuple[tuple[str, str], ...] = ()
    """Id and title of each."""
    icon: Path | None = None
    image: Path | None = None

    def plain(self) -> "Card":
        """The words alone, for a screen that refuses the rest."""
        return Card(self.id, self.title, self.body)


def card_of(payload: WebPayload, *, lock_known: bool, icon: Path | None = None, image: Path | None = None) -> Card:
    """`lock_known`: whether we can tell that the screen is not locked. `hide` then shows all, else only the title.

    Who can read a locked screen can read the list of notifications too, so content to be hidden is not in it at all.
    """
    hidden = payload.lock_screen == LockScreen.HIDE_CONTENT or (
        payload.lock_screen == LockScreen.HIDE and not lock_known
    )
    return Card(
        id=place_of(payload.tag),
        title=_showable(payload.title),
        body=GENERIC if hidden else _showable(payload.body),
        weight=_weight(payload),
        sound=None if payload.silent else payload.sound or DEFAULT_SOUND,
        stays=payload.require_interaction,
        buttons=tuple((action.id, _showable(action.title)) for action in payload.actions),
        icon=icon,
        image=None if hidden else image,
    )


def place_of(tag: str) -> str:
    """A tag may be any text of any length; systems take short names (Windows: 64 characters)."""
    return sha256(tag.encode("utf-8", "replace")).hexdigest()[:32]


def _weight(payload: WebPayload) -> Weight:
    """Only what is mandatory and waits for an answer may break through "do not disturb"; marketing never insists."""
    if payload.class_ == CategoryClass.MARKETING:
        return Weight.LOW
    if payload.class_ == CategoryClass.MANDATORY and payload.require_interaction:
        return Weight.CRITICAL
    return Weight.LOW if payload.urgency in ("very-low", "low") else Weight.NORMAL


def _showable(text: str) -> str:
    return text.translate(_UNSHOWABLE)
