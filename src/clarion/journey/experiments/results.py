"""Results: what came of each wording, next to the others and to who got nothing, and which one won."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from clarion.intelligence.experiments import Counts, Difference, Interval, difference, rate_interval
from clarion.journey.experiments.variants import told
from clarion.model import CONTROL, ONLY, Message, Millis, Notification, Reason
from clarion.ports import Chosen, Counted

ALPHA = 0.05
"""In how many of all experiments an interval may be wrong at any time."""


class Versus(NamedTuple):
    """How much higher a rate is than that of another arm, among the settled."""

    arm: str
    difference: Difference


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one wording, or of the control group.

    `people`: chosen by hash, so that they are alike in all arms; `counts`: those whose time is over, and the
    successes among them. `rate` None: nothing to tell, nobody of the control group can click.
    """

    key: str
    people: int
    reached: int
    delivered: int
    clicked: int
    successes: int
    counts: Counts
    interval: Interval | None
    versus: list[Versus]


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """Arms in the order of the variants, the control group last. `ahead`: the one that is clear of all the others.

    `rest`: people who got the winner because it had won, and are in no arm.
    """

    arms: list[Arm]
    ahead: str | None
    winner: Chosen | None
    rest: int
    now: Millis


def results(notification: Notification, counted: Iterable[Counted], winner: Chosen | None, now: Millis) -> Results:
    """Every comparison is with the first variant, and with the control group where there is one to compare with."""
    by_arm, rest = _by_arm(notification.message, counted)
    by_event = notification.message.goal.event is not None
    counts = {key: Counts(one.settled, one.settled_successes) for key, one in by_arm.items()}
    compared = {key: one for key, one in counts.items() if key != CONTROL or by_event}
    wordings = [key for key in by_arm if key != CONTROL]
    against = [*([CONTROL] if CONTROL in compared else []), wordings[0]]
    arms = [
        Arm(
            key=key,
            people=one.people,
            reached=one.reached,
            delivered=one.delivered,
            clicked=one.clicked,
            successes=one.successes,
            counts=counts[key],
            interval=rate_interval(counts[key], ALPHA) if key in compared else None,
            versus=[
                Versus(other, difference(counts[key], counts[other], ALPHA))
                for other in against
                if key not in (CONTROL, other)
            ],
        )
        for key, one in by_arm.items()
    ]
    ahead = clear_best({key: counts[key] for key in wordings})
    return Results(arms=arms, ahead=ahead, winner=winner, rest=rest, now=now)


def pick(notification: Notification, counted: Iterable[Counted]) -> str | None:
    """Who takes over, by the notification's rule; None: nobody does, and each person keeps their own variant."""
    by_arm, _ = _by_arm(notification.message, counted)
    counts = {key: Counts(one.settled, one.settled_successes) for key, one in by_arm.items() if key != CONTROL}
    winner = notification.message.winner
    if winner is None or not any(one.people for one in counts.values()):
        return None
    return _best(counts) if winner.rule == "best_rate" else clear_best(counts)


def clear_best(counts: Mapping[str, Counts]) -> str | None:
    """The arm that is clear of every other one; that there is one by chance alone happens in 5 of 100 experiments."""
    if len(counts) < 2:  # noqa: PLR2004 - one alone is ahead of nobody
        return None
    best = _best(counts)
    alpha = ALPHA / (len(counts) - 1)
    others = (difference(counts[best], one, alpha) for key, one in counts.items() if key != best)
    return best if all(one.interval.low > 0 for one in others) else None


def _best(counts: Mapping[str, Counts]) -> str:
    """The highest rate; of equal ones the first."""
    return max(counts, key=lambda key: counts[key].rate)


def _by_arm(message: Message, counted: Iterable[Counted]) -> tuple[dict[str, Counted], int]:
    """Summed up by arm, and how many people got the winner by rule."""
    parts: dict[str, list[Counted]] = {one.key: [] for one in message.variants} or {ONLY: []}
    rest = 0
    for part in counted:
        variant = told(part.gates)
        if part.reason is Reason.HOLDOUT:
            parts.setdefault(CONTROL, []).append(part)
        elif variant.by_rule:
            rest += part.people
        else:
            parts.setdefault(variant.key or ONLY, []).append(part)
    found = {key: _sum(some) for key, some in parts.items()}
    control = {CONTROL: found.pop(CONTROL)} if CONTROL in found else {}
    return found | control, rest


def _sum(counted: Sequence[Counted]) -> Counted:
    fields = (
        "people",
        "settled",
        "reached",
        "delivered",
        "clicked",
        "successes",
        "settled_successes",
    )
    totals = {name: sum(getattr(one, name) for one in counted) for name in fields}
    return Counted(gates="", reason=Reason.SEND, **totals)
