"""Gates: is there a device, and does its system show what we send?"""

from collections.abc import Sequence

from clarion.journey.rules.ruling import Ruling
from clarion.model import Permission, Reason
from clarion.ports import Target

_SHOWABLE = frozenset({Permission.GRANTED, Permission.PROVISIONAL})
_NONE = Ruling(Reason.NO_DEVICE, "no active device that we can reach")
_DENIED = "0 of {} devices allow it"


def permitted(targets: Sequence[Target]) -> list[Target]:
    """The devices on which the system shows what we send; `default` means that nobody was asked yet."""
    return [target for target in targets if target.permission in _SHOWABLE]


def device(targets: Sequence[Target]) -> Ruling:
    """At least one active device of a kind that has a provider."""
    if not targets:
        return _NONE
    return Ruling(None, "1 device" if len(targets) == 1 else f"{len(targets)} devices")


def permission(targets: Sequence[Target], permitted: Sequence[Target]) -> Ruling:
    """At least one of them whose system shows what we send."""
    if not permitted:
        return Ruling(Reason.NO_PERMISSION, _DENIED.format(len(targets)))
    return Ruling(None, f"{len(permitted)} of {len(targets)} allow it")
