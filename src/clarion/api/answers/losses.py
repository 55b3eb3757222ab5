"""Whom we lose, as the API shows it."""

from typing import Annotated

from msgspec import Meta

from clarion.api.answers.base import Answer, Listing
from clarion.api.fields import Told, told
from clarion.intelligence.proportions import Proportion, proportion
from clarion.journey.loss_watch import Standing
from clarion.model import Millis
from clarion.ports import Dimension

_MOST = 1_000


class RateAnswer(Answer, frozen=True, kw_only=True):
    """A part of those reached; in 95 of 100 cases it lies between `low` and `high`."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, part: int, whole: int) -> "RateAnswer":
        """As the API shows it, of people who were reached: at least one."""
        found = proportion(part, whole) or Proportion(0.0, 0.0, 1.0)
        return cls(value=round(found.value, 6), low=round(found.low, 6), high=round(found.high, 6))


class LossAnswer(Answer, frozen=True, kw_only=True):
    """What the messages of one category, template or campaign came to, in people: each counts once a day."""

    name: Annotated[
        str,
        Meta(
            description="Of a campaign: its name, or the automation's, else the notification's id.", examples=["offers"]
        ),
    ]
    reached: int
    delivered: int
    tapped: int
    lost: Annotated[int, Meta(description="Who said no within 24 hours, in any of the three ways that follow.")]
    opt_outs: int
    permissions: int
    subscriptions: int
    delivered_rate: RateAnswer
    tap_rate: RateAnswer
    loss_rate: RateAnswer
    doubled_since: Annotated[Told | None, Meta(description="Since when more than twice as many are lost as usual.")]

    @classmethod
    def of(cls, standing: Standing) -> "LossAnswer":
        """As the API shows it."""
        counts, alert = standing
        return cls(
            name=counts.name,
            reached=counts.reached,
            delivered=counts.delivered,
            tapped=counts.tapped,
            lost=counts.lost,
            opt_outs=counts.opt_outs,
            permissions=counts.permissions,
            subscriptions=counts.subscriptions,
            delivered_rate=RateAnswer.of(counts.delivered, counts.reached),
            tap_rate=RateAnswer.of(counts.tapped, counts.reached),
            loss_rate=RateAnswer.of(counts.lost, counts.reached),
            doubled_since=None if alert is None else told(alert.since),
        )


class LossList(Listing, frozen=True, kw_only=True):
    """Where the most people are lost comes first, by what is certain of the rate."""

    by: Dimension
    since: Told
    until: Told
    items: list[LossAnswer]

    @classmethod
    def of(cls, by: Dimension, since: Millis, until: Millis, standings: list[Standing]) -> "LossList":
        """As the API shows it: at most a thousand."""
        items = [LossAnswer.of(each) for each in standings]
        items.sort(key=lambda each: (-each.loss_rate.low, -each.lost, -each.reached, each.name))
        return cls(by=by, since=told(since), until=told(until), items=items[:_MOST])
