"""Where a notification may stand, as far as we know: which devices an update of it goes to."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from clarion.model import DeliveryState, Key, Reason, UpdateKind
from clarion.ports import Standing

_ANSWERED: Final = frozenset({DeliveryState.DISMISSED, DeliveryState.CLICKED})
"""The person has put it away, or opened it: it is off the screen, and nothing takes its place."""


class Where(NamedTuple):
    """The devices of one person that an update goes to. `shown`: it may be seen on one of them by now.

    `unsettled`: whether an earlier message is on its way to one of them, which may still leave or not.
    """

    devices: frozenset[Key]
    shown: bool
    unsettled: bool


NOWHERE: Final[Mapping[tuple[Key, Key], Where]] = MappingProxyType({})


def by_user(standings: Iterable[Standing], kind: UpdateKind) -> dict[Key, Where]:
    """All people of whom there is anything: the devices that have it, or were about to, and did not answer.

    A message that never left because of an update gets that update instead; a withdrawal has nothing to do there.
    """
    answered: set[Key] = set()
    shown: dict[Key, set[Key]] = {}
    waiting: dict[Key, set[Key]] = {}
    unsettled: set[Key] = set()
    for one in standings:
        there, not_yet = shown.setdefault(one.user, set()), waiting.setdefault(one.user, set())
        if one.state in _ANSWERED:
            answered.add(one.device)
        elif one.state >= DeliveryState.SENT:
            there.add(one.device)
        elif one.state is DeliveryState.QUEUED:
            not_yet.add(one.device)
            unsettled.add(one.user)
        elif one.reason is Reason.SUPERSEDED:
            not_yet.add(one.device)
    withdraws = kind is UpdateKind.WITHDRAW
    return {
        user: Where(
            frozenset((there if withdraws else there | waiting[user]) - answered),
            bool(there - answered),
            user in unsettled,
        )
        for user, there in shown.items()
    }
