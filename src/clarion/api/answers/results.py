"""What came of a notification, by variant."""

from typing import Annotated

from msgspec import Meta

from clarion.api.answers.base import Answer
from clarion.api.fields import Told, told, told_or_none
from clarion.journey.experiments.results import ALPHA, Arm, Results, Versus
from clarion.model import Notification

CONFIDENCE = 1 - ALPHA


class GoalAnswer(Answer, frozen=True, kw_only=True):
    """What counts as success."""

    event: Annotated[str | None, Meta(description="Null: a click.")]
    within_s: int


class VersusAnswer(Answer, frozen=True, kw_only=True):
    """How much higher a rate is than another, with an interval that holds whenever it is looked at."""

    arm: str
    difference: float
    low: float
    high: float
    e_value: Annotated[
        float,
        Meta(description="What a fair bet against no difference made of 1; at 20 the interval leaves 0 out."),
    ]

    @classmethod
    def of(cls, versus: Versus) -> "VersusAnswer":
        """As the API shows it."""
        told = versus.difference
        return cls(
            arm=versus.arm,
            difference=told.estimate,
            low=told.interval.low,
            high=told.interval.high,
            e_value=told.e_value,
        )


class ArmAnswer(Answer, frozen=True, kw_only=True):
    """A variant, or the control group. Rate and intervals are those of the settled people."""

    key: Annotated[str, Meta(description="Of the variant; `message` where there are none; `control`: held out.")]
    people: int
    reached: Annotated[int, Meta(description="A push service took a message for them.")]
    delivered: Annotated[int, Meta(description="A device says that it got it; not all of them say so.")]
    clicked: int
    successes: Annotated[int, Meta(description="So far, also of people whose time is not over.")]
    settled: Annotated[int, Meta(description="People whose time for a success is over.")]
    settled_successes: int
    rate: float | None
    low: float | None
    high: float | None
    versus: list[VersusAnswer]

    @classmethod
    def of(cls, arm: Arm) -> "ArmAnswer":
        """As the API shows it."""
        interval = arm.interval
        return cls(
            key=arm.key,
            people=arm.people,
            reached=arm.reached,
            delivered=arm.delivered,
            clicked=arm.clicked,
            successes=arm.successes,
            settled=arm.counts.people,
            settled_successes=arm.counts.successes,
            rate=arm.counts.rate if interval is not None and arm.counts.people else None,
            low=None if interval is None else interval.low,
            high=None if interval is None else interval.high,
            versus=[VersusAnswer.of(one) for one in arm.versus],
        )


class WinnerAnswer(Answer, frozen=True, kw_only=True):
    """What took over, or will."""

    rule: str
    share: float
    due_at: Told
    chosen_at: Annotated[Told | None, Meta(description="Null: not yet; it is chosen when the rest is sent.")]
    variant: Annotated[str | None, Meta(description="Null and chosen: nobody won, all keep the variant of their own.")]
    people: Annotated[int, Meta(description="Who got it because it had won; they are in no variant's figures.")]


class ResultsAnswer(Answer, frozen=True, kw_only=True):
    """What came of a notification, by variant."""

    notification_id: str
    goal: GoalAnswer
    confidence: float
    as_of: Told
    variants: list[ArmAnswer]
    ahead: Annotated[str | None, Meta(description="The variant that is clear of all others.")]
    winner: WinnerAnswer | None

    @classmethod
    def of(cls, notification: Notification, results: Results) -> "ResultsAnswer":
        """As the API shows it."""
        goal = notification.message.goal
        return cls(
            notification_id=notification.id,
            goal=GoalAnswer(event=goal.event, within_s=goal.within_s),
            confidence=CONFIDENCE,
            as_of=told(results.now),
            variants=[ArmAnswer.of(arm) for arm in results.arms],
            ahead=results.ahead,
            winner=_winner(notification, results),
        )


def _winner(notification: Notification, results: Results) -> WinnerAnswer | None:
    rule, due_at, chosen = notification.message.winner, notification.winner_at, results.winner
    if rule is None or due_at is None:
        return None
    return WinnerAnswer(
        rule=rule.rule,
        share=rule.share,
        due_at=told(due_at),
        chosen_at=told_or_none(None if chosen is None else chosen.at),
        variant=None if chosen is None else chosen.variant,
        people=results.rest,
    )
