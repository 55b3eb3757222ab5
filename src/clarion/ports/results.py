"""What experiments are judged by: people of one notification, counted by what became of them."""

from typing import NamedTuple, Protocol

import msgspec

from clarion.model import Key, Millis, Notification, Reason


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the people whose decision reads alike: sent, or held out as a control group.

    `settled`: of these the time in which they may be a success is over. `reached` have a delivery that a push service
    took, `delivered` one that a device got, `clicked` one that was tapped. `successes`: within their time, whenever
    that ends; `settled_successes` of the settled.
    """

    gates: str
    reason: Reason
    people: int
    settled: int
    reached: int = 0
    delivered: int = 0
    clicked: int = 0
    successes: int = 0
    settled_successes: int = 0


class Chosen(NamedTuple):
    """What was decided about the winner, and when; `variant` None: nobody won."""

    variant: str | None
    at: Millis


class Results(Protocol):
    """Counts for experiments, and who won."""

    async def count(self, notification: Notification, now: Millis) -> list[Counted]:
        """Everybody who was sent to or held out, by what their gates say.

        One aggregate statement, however many they are. A person's time begins with the decision, or with the fire of
        what was armed.
        """
        ...

    async def choose(self, project: Key, notification: Key, chosen: Chosen) -> Chosen:
        """Write down who won, once: whoever comes second is told what was chosen before."""
        ...

    async def chosen(self, project: Key, notification: Key) -> Chosen | None:
        """Who won; None while that was not decided."""
        ...
