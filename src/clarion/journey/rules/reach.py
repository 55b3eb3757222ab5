"""Gates: is there a device, and does its system show what we send?"""

from collections.abc import Collection, Iterable
from functools import lru_cache

from clarion.journey.rules.ruling import Ruling
from clarion.model import DeviceKind, Key, Permission, Reason
from clarion.ports import Target

_SHOWABLE = frozenset({Permission.GRANTED, Permission.PROVISIONAL})
_NONE = Ruling(Reason.NO_DEVICE, "no active device that we can reach")


def within_reach(
    targets: Iterable[Target], reachable: Collection[DeviceKind], only: Collection[Key] | None
) -> tuple[int, list[Target]]:
    """How many of a person's devices we can reach, and those of them on which the system shows what we send.

    `reachable`: kinds; `only`: the devices that were named, if any were. `default` means that nobody was asked yet.
    """
    count, showing = 0, []
    for target in targets:
        if target.kind in reachable and (only is None or target.key in only):
            count += 1
            if target.permission in _SHOWABLE:
                showing.append(target)
    return count, showing


@lru_cache(maxsize=256)
def device(count: int) -> Ruling:
    """At least one active device of a kind that has a provider."""
    return Ruling(None, "1 device" if count == 1 else f"{count} devices") if count else _NONE


@lru_cache(maxsize=256)
def permission(showing: int, count: int) -> Ruling:
    """At least one of them whose system shows what we send."""
    return Ruling(None if showing else Reason.NO_PERMISSION, f"{showing} of {count} allow it")
