"""People who said no after what we sent them, and what our messages came to, day by day."""

from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

import msgspec

from clarion.model import Channel, Consent, DeliveryState, DeviceKind, Key, Millis
from clarion.ports.ledger import ANY_CATEGORY

REACHED: Final = DeliveryState.SENT
"""From this state on a message has reached its device."""
MOST_NAMES: Final = 1_000
"""Of a day and dimension: those that reached the most people. Single messages are campaigns of one."""
_NOT_NOW: Final = frozenset({"import", "merge"})
"""Sources of lines that repeat what was said elsewhere, at another time."""


class LossKind(StrEnum):
    """How somebody said no: to a category, to all notifications of a device, or without a word."""

    OPT_OUT = "opt_out"
    PERMISSION = "permission"
    SUBSCRIPTION = "subscription"


class Dimension(StrEnum):
    """What messages are told apart by. An automation is a campaign too, else a notification is."""

    CATEGORY = "category"
    TEMPLATE = "template"
    CAMPAIGN = "campaign"


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody said no: to `category` by `channel`, or with `device` (None: of any, the record of an older version)."""

    user: Key
    at: Millis
    kind: LossKind
    channel: Channel
    category: str | None = None
    device: Key | None = None


class Touch(NamedTuple):
    """A message that reached a device of somebody, and when it was on its way to them."""

    notification: Key
    user: Key
    device: Key
    kind: DeviceKind
    at: Millis


class LossCount(msgspec.Struct, frozen=True, kw_only=True):
    """People of one day (its first millisecond, UTC), of several days added up: each counts once a day.

    `lost` are those who were lost in any way; one person may be among several of the last three.
    """

    dimension: Dimension
    name: str
    day: Millis
    reached: int = 0
    delivered: int = 0
    tapped: int = 0
    lost: int = 0
    opt_outs: int = 0
    permissions: int = 0
    subscriptions: int = 0


class LossAlert(msgspec.Struct, frozen=True, kw_only=True):
    """More people are lost than usual: those of the last days, and of the days before, which are what is usual.

    `ratio` is None when nobody was lost before; it is at least `ratio_low`, in all likelihood.
    """

    project: Key
    dimension: Dimension
    name: str
    since: Millis
    reached: int
    lost: int
    usual_reached: int
    usual_lost: int
    ratio_low: float

    @property
    def ratio(self) -> float | None:
        """How many times as many people are lost."""
        if not self.usual_lost:
            return None
        return (self.lost / self.reached) / (self.usual_lost / self.usual_reached)


class Losses(Protocol):
    """Written by who takes the no: with the consent, the registration or the verdict, in the same transaction."""

    async def since(self, project: Key, since: Millis) -> list[Loss]:
        """Oldest first."""
        ...

    async def of_user(self, project: Key, user: Key) -> list[Loss]:
        """Oldest first."""
        ...

    async def touches(self, project: Key, users: Collection[Key], since: Millis) -> list[Touch]:
        """What reached these people since then; in no particular order."""
        ...

    async def reached(self, project: Key, day: Millis) -> list[LossCount]:
        """What the notifications of a day came to; nobody is counted as lost. At most `MOST_NAMES` a dimension.

        A notification belongs to the day of its fire, else its `send_at`, else its making.
        """
        ...

    async def put(self, project: Key, since: Millis, counts: Sequence[LossCount]) -> None:
        """The counts of the days from `since` on, instead of what was there."""
        ...

    async def sums(self, project: Key, dimension: Dimension, since: Millis, until: Millis) -> list[LossCount]:
        """The counts of the days since ≤ day < until, added up by name; `day` is the first of them."""
        ...

    async def alerts(self, project: Key | None = None) -> list[LossAlert]:
        """Of a project or of all, oldest first."""
        ...

    async def put_alerts(self, project: Key, alerts: Sequence[LossAlert]) -> tuple[list[LossAlert], list[LossAlert]]:
        """These instead of what was there: which are new, and which are over. `since` stays as it was first."""
        ...

    async def forget(self, project: Key, losses_before: Millis, counts_before: Millis) -> None:
        """Drop what is older."""
        ...


def opt_outs(lines: Iterable[Consent]) -> list[Loss]:
    """Lines by which a person says no now."""
    return [
        Loss(user=line.user, at=line.at, kind=LossKind.OPT_OUT, channel=line.channel, category=line.category)
        for line in lines
        if not line.granted and line.category != ANY_CATEGORY and line.said_at is None and line.source not in _NOT_NOW
    ]


def revoked(line: Consent | None, device: Key) -> list[Loss]:
    """What the line that a device's new answer is worth says."""
    if line is None or line.granted:
        return []
    return [Loss(user=line.user, at=line.at, kind=LossKind.PERMISSION, channel=line.channel, device=device)]
