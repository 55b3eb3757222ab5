"""Gates: is there a device, and does its system show what we send?"""

from collections.abc import Sequence
from functools import lru_cache

from clarion.journey.rules.ruling import Ruling
from clarion.model import Permission, Reason
from clarion.ports import Target

_SHOWABLE = frozenset({Permission.GRANTED, Permission.PROVISIONAL})
_NONE = Ruling(Reason.NO_DEVICE, "no active device that we can reach")


def permitted(targets: Sequence[Target]) -> list[Target]:
    """The devices on which the system shows what we send; `default` means that nobody was asked yet."""
    return [target for target in targets if target.permission in _SHOWABLE]


def device(targets: Sequence[Target]) -> Ruling:
    """At least one active device of a kind that has a provider."""
    return _devices(len(targets)) if targets else _NONE


def permission(targets: Sequence[Target], permitted: Sequence[Target]) -> Ruling:
    """At least one of them whose system shows what we send."""
    return _allowing(len(permitted), len(targets))


@lru_cache(maxsize=256)
def _devices(count: int) -> Ruling:
    return Ruling(None, "1 device" if count == 1 else f"{count} devices")


@lru_cache(maxsize=256)
def _allowing(count: int, of: int) -> Ruling:
    return Ruling(None if count else Reason.NO_PERMISSION, f"{count} of {of} allow it")
