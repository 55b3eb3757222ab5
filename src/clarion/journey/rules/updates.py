"""Gates of updates: what was superseded is not sent any more; what takes another's place takes no second one."""

from collections.abc import Mapping
from typing import Final

from clarion.journey.rules.ruling import Ruling
from clarion.model import Key, Millis, Notification, Reason, UpdateKind
from clarion.ports import Recipient

_STANDS: Final = Ruling(None, "nothing newer takes its place")
_SUPERSEDED: Final = Ruling(Reason.SUPERSEDED, "a newer notification takes its place")
WITHDRAWING: Final = Ruling(None, "only takes away what is shown")
IN_PLACE: Final = Ruling(None, "takes the place of what is shown")


def superseded(notification: Notification) -> Ruling | None:
    """Whether another one counts now; None for what neither updates nor is updated."""
    if notification.updated_by is not None:
        return _SUPERSEDED
    return None if notification.update is None else _STANDS


def is_withdrawal(notification: Notification) -> bool:
    """Whether it shows nothing, and only takes away."""
    return notification.update is not None and notification.update.kind is UpdateKind.WITHDRAW


def is_quiet(notification: Notification) -> bool:
    """Whether it makes no sound where it takes the place of what is shown."""
    return notification.update is not None and not notification.update.renotify


def no_consent_asked(_: Recipient) -> Ruling:
    """To take something away nobody has to agree."""
    return WITHDRAWING


def no_duplicate(_: Key, __: Mapping[tuple[Key, int], Millis]) -> Ruling:
    """What takes the place of a message says nothing twice."""
    return IN_PLACE
