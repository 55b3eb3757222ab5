"""Alerts as the API shows them."""

from typing import Annotated

from msgspec import Meta

from clarion.api.answers.base import Answer, Listing
from clarion.api.fields import Told, told
from clarion.model import DeviceKind
from clarion.ports import Stoppage, StopReason


class AlertAnswer(Answer, frozen=True, kw_only=True):
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


class AlertList(Listing, frozen=True, kw_only=True):
    """Alerts, oldest first."""

    items: list[AlertAnswer]
