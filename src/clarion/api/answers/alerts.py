"""Alerts as the API shows them."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from clarion.api.answers.base import Answer, Listing
from clarion.api.fields import Told, told
from clarion.model import DeviceKind, Millis
from clarion.ports import Dimension, LossAlert, Stoppage, StopReason

_MOST = 1_000


class AlertAnswer(Answer, frozen=True, kw_only=True, tag_field="alert", tag="provider_stopped"):
    """A push service that nothing is sent to for now; what waits for it is neither lost nor failed.

    `credential` is the one that it was tried with, null where there is none. At `again_at` a few messages are tried.
    """

    kind: DeviceKind
    lane: Annotated[
        str,
        Meta(
            description="For APNs environment and bundle id (`?`: all that no credential names), for Web Push the "
            "service, empty for FCM.",
            examples=["production/com.example.shop"],
        ),
    ]
    reason: StopReason
    detail: Annotated[str, Meta(description="What it answered.", examples=["403 InvalidProviderToken"])]
    credential: str | None
    since: Told
    again_at: Told
    failures: Annotated[int, Meta(description="How often in a row it was tried in vain.")]

    @classmethod
    def of(cls, stoppage: Stoppage) -> "AlertAnswer":
        """As the API shows it."""
        return cls(
            kind=stoppage.kind,
            lane=stoppage.lane,
            reason=stoppage.reason,
            detail=stoppage.detail,
            credential=stoppage.credential,
            since=told(stoppage.since),
            again_at=told(stoppage.again_at),
            failures=stoppage.failures,
        )


class LossAlertAnswer(Answer, frozen=True, kw_only=True, tag_field="alert", tag="losses_doubled"):
    """Of the last two days' messages at least twice as many people are lost as of those of the 28 days before."""

    by: Dimension
    name: str
    detail: Annotated[str, Meta(examples=["24 of 1000 people lost (2.40 %), usually 0.80 %"])]
    since: Told
    reached: int
    lost: int
    usual_reached: int
    usual_lost: int
    ratio: Annotated[float | None, Meta(description="How many times as many; null: nobody was lost before.")]
    ratio_low: Annotated[float, Meta(description="How many times as many at least: wrong once in a thousand cases.")]

    @classmethod
    def of(cls, alert: LossAlert) -> "LossAlertAnswer":
        """As the API shows it."""
        now, usually = 100 * alert.lost / alert.reached, 100 * alert.usual_lost / alert.usual_reached
        return cls(
            by=alert.dimension,
            name=alert.name,
            detail=f"{alert.lost} of {alert.reached} people lost ({now:.2f} %), usually {usually:.2f} %",
            since=told(alert.since),
            reached=alert.reached,
            lost=alert.lost,
            usual_reached=alert.usual_reached,
            usual_lost=alert.usual_lost,
            ratio=None if alert.ratio is None else round(alert.ratio, 2),
            ratio_low=round(alert.ratio_low, 2),
        )


class AlertList(Listing, frozen=True, kw_only=True):
    """Alerts, oldest first."""

    items: list[AlertAnswer | LossAlertAnswer]

    @classmethod
    def of(cls, stoppages: Iterable[Stoppage], losses: Iterable[LossAlert]) -> "AlertList":
        """As the API shows them: at most a thousand."""
        found: list[tuple[Millis, AlertAnswer | LossAlertAnswer]]
        found = [(each.since, AlertAnswer.of(each)) for each in stoppages]
        found += [(each.since, LossAlertAnswer.of(each)) for each in losses]
        return cls(items=[alert for _, alert in sorted(found, key=lambda each: each[0])][:_MOST])
