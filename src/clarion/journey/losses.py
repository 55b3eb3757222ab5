"""Whom we lose, and by which messages: a no is tied to what reached the person in the 24 hours before it.

An opt-out is tied to the messages of its category that came by its channel; a revoked permission and a dead
subscription, to all that the device got. What several messages share counts for each of them, once a person.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from clarion.intelligence.proportions import ratio_low
from clarion.model import CHANNEL_OF_KIND, DAY_MS, Key, Millis, Notification
from clarion.ports import Dimension, Loss, LossAlert, LossCount, LossKind, Touch

WINDOW_MS: Final = DAY_MS
RECENT_DAYS: Final = 2
"""Today and yesterday: what is compared with what is usual. Of today alone, many have not had the time to say no."""
USUAL_DAYS: Final = 28
"""The days before, which are what is usual."""
MANY: Final = 10
"""People lost, below which nothing is said: one more or less is no news."""
DOUBLE: Final = 2.0

_FIELD: Final = {
    LossKind.OPT_OUT: "opt_outs",
    LossKind.PERMISSION: "permissions",
    LossKind.SUBSCRIPTION: "subscriptions",
}


class Label(NamedTuple):
    """What a notification is counted under."""

    day: Millis
    category: str
    names: tuple[tuple[Dimension, str], ...]


class Tied(NamedTuple):
    """A loss and what reached the person before it, the newest last."""

    loss: Loss
    touches: list[Touch]


Counted = dict[tuple[Dimension, str, Millis], dict[LossKind, set[Key]]]
"""The people lost by what they are counted under and how."""


def day_of(at: Millis) -> Millis:
    """The first millisecond of the day, UTC."""
    return at - at % DAY_MS


def label(notification: Notification) -> Label:
    """Its day is that of its fire, else of its `send_at`, else of its making, as `ports.Losses.reached` has it."""
    moments = (notification.fired_at, notification.send_at, notification.created_at)
    names = [
        (Dimension.CATEGORY, notification.message.category),
        (Dimension.CAMPAIGN, notification.campaign or notification.automation or notification.id),
    ]
    if notification.message.template is not None:
        names.append((Dimension.TEMPLATE, notification.message.template))
    moment = next(at for at in moments if at is not None)
    return Label(day_of(moment), notification.message.category, tuple(names))


def tie(losses: Iterable[Loss], touches: Iterable[Touch], labels: Mapping[Key, Label]) -> Iterator[Tied]:
    """Each loss with the messages that it is tied to, perhaps none; touches without a label are left out."""
    by_user: dict[Key, list[Touch]] = defaultdict(list)
    for touch in touches:
        if touch.notification in labels:
            by_user[touch.user].append(touch)
    for each in by_user.values():
        each.sort(key=lambda touch: (touch.at, touch.notification))
    for loss in losses:
        yield Tied(loss, [touch for touch in by_user.get(loss.user, ()) if _is_tied(loss, touch, labels)])


def _is_tied(loss: Loss, touch: Touch, labels: Mapping[Key, Label]) -> bool:
    if not loss.at - WINDOW_MS <= touch.at <= loss.at or CHANNEL_OF_KIND[touch.kind] is not loss.channel:
        return False
    if loss.kind is LossKind.OPT_OUT:
        return labels[touch.notification].category == loss.category
    return loss.device is None or touch.device == loss.device


def tally(tied: Iterable[Tied], labels: Mapping[Key, Label], counted: Counted) -> None:
    """Add whom was lost to what is counted: under each name once, on the day of the newest message of that name."""
    for loss, touches in tied:
        days = {name: labels[touch.notification].day for touch in touches for name in labels[touch.notification].names}
        for (dimension, name), day in days.items():
            counted.setdefault((dimension, name, day), {}).setdefault(loss.kind, set()).add(loss.user)


def with_losses(reached: Iterable[LossCount], counted: Counted) -> list[LossCount]:
    """The counts of those who were reached, and of those who were lost."""
    whole = []
    for each in reached:
        people = counted.get((each.dimension, each.name, each.day))
        if people:
            kinds = {_FIELD[kind]: len(users) for kind, users in people.items()}
            each = msgspec.structs.replace(each, lost=len(set().union(*people.values())), **kinds)  # noqa: PLW2901
        whole.append(each)
    return whole


def alerts(project: Key, recent: Sequence[LossCount], usual: Sequence[LossCount], now: Millis) -> list[LossAlert]:
    """Of which names so many more people are lost than usual that it is no chance. One that is new has no usual."""
    before = {(each.dimension, each.name): each for each in usual}
    found = []
    for each in recent:
        usually = before.get((each.dimension, each.name))
        if usually is not None and (low := _doubled(each, usually)) is not None:
            found.append(
                LossAlert(
                    project=project,
                    dimension=each.dimension,
                    name=each.name,
                    since=now,
                    reached=each.reached,
                    lost=each.lost,
                    usual_reached=usually.reached,
                    usual_lost=usually.lost,
                    ratio_low=low,
                )
            )
    return found


def _doubled(recent: LossCount, usual: LossCount) -> float | None:
    """How many times as many are lost at least; None when it is not twice as many, or may be chance."""
    if recent.lost < MANY or recent.lost * usual.reached < DOUBLE * usual.lost * recent.reached:
        return None
    low = ratio_low(recent.lost, recent.reached, usual.lost, usual.reached)
    return low if low > 1.0 else None
