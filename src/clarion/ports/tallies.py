"""How much of what there was lately, for people who look: sums over the newest rows, however many there are in all."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from clarion.model import DeliveryState, DeviceKind, Key, Millis, Reason

HOUR_MS = 3_600_000


class Decided(msgspec.Struct, frozen=True):
    """Decisions with one reason, of notifications that were due in the hour that begins at `hour`."""

    hour: Millis
    reason: Reason
    count: int


class Delivered(msgspec.Struct, frozen=True):
    """Deliveries of one kind that came so far, of notifications that were due in the hour that begins at `hour`."""

    hour: Millis
    kind: DeviceKind
    state: DeliveryState
    count: int


class Tally(msgspec.Struct, frozen=True):
    """Sums by hour. `whole`: nothing was left out, or only what is older than `since`."""

    decisions: Sequence[Decided]
    deliveries: Sequence[Delivered]
    whole: bool


class Tallies(Protocol):
    """Sums whose price has a bound: each reads `most` rows and no more."""

    async def lately(self, project: Key, since: Millis, most: int) -> Tally:
        """The newest `most` decisions and deliveries, summed up by the hour that their notification was due in."""
        ...

    async def of_notifications(
        self, project: Key, notifications: Sequence[Key], most: int
    ) -> Mapping[Key, Mapping[DeliveryState, int]]:
        """Deliveries by state of each notification, of its first `most`; none for one without deliveries."""
        ...
