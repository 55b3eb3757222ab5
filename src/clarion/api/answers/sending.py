"""Events, notifications, decisions and deliveries."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from clarion.api.answers.base import Answer, Listing
from clarion.api.fields import Told, told, told_or_none
from clarion.journey.experiments import variants
from clarion.journey.progress import STATES
from clarion.model import (
    DeliveryState,
    DeviceKind,
    Json,
    Notification,
    Reason,
    UpdateKind,
    Verdict,
    delivery_id,
    verdict_of,
)
from clarion.ports import DecisionRecord, DeliveryRecord

SHOWN_AUDIENCE = 1_000
DELIVERY_STATES = ("queued", "sent", "accepted", "delivered", "displayed", "clicked", "dismissed", "expired", "failed")
DeliveryWord = Annotated[str, Meta(extra_json_schema={"enum": list(DELIVERY_STATES)})]


class BatchError(Answer, frozen=True, kw_only=True):
    """What was not taken, and why."""

    index: int
    code: str
    field: str
    message: str


class BatchAnswer(Answer, frozen=True, kw_only=True):
    """What became of a batch: the good ones are kept."""

    accepted: int
    duplicates: int
    errors: list[BatchError]


class Created(Answer, frozen=True, kw_only=True):
    """The id of what was made."""

    id: str


class Counts(Answer, frozen=True, kw_only=True):
    """How many candidates and deliveries stand where."""

    decisions: dict[str, int]
    reasons: dict[str, int]
    deliveries: dict[str, int]


class NotificationSummary(Answer, frozen=True, kw_only=True):
    """A notification in a list."""

    id: str
    category: str
    title: str | None
    template: str | None
    automation: str | None
    created_at: Told
    send_at: Told | None
    armed_until: Told | None
    fired_at: Told | None
    cancelled_at: Told | None

    @classmethod
    def of(cls, notification: Notification) -> "NotificationSummary":
        """As the API shows it."""
        return cls(
            id=notification.id,
            category=notification.message.category,
            title=notification.message.title,
            template=notification.message.template,
            automation=notification.automation,
            created_at=told(notification.created_at),
            send_at=told_or_none(notification.send_at),
            armed_until=told_or_none(notification.armed_until),
            fired_at=told_or_none(notification.fired_at),
            cancelled_at=told_or_none(notification.cancelled_at),
        )


class UpdateAnswer(Answer, frozen=True, kw_only=True):
    """What a notification does to the one that was there first."""

    kind: UpdateKind
    notification_id: str
    renotify: bool


class NotificationAnswer(Answer, frozen=True, kw_only=True):
    """A notification: what was asked for, and how far it came."""

    id: str
    state: Annotated[str, Meta(extra_json_schema={"enum": list(STATES)})]
    request: Annotated[Json, Meta(description="As it was asked for, defaults filled in. Long audiences are cut short.")]
    counts: Counts
    automation: str | None
    digest_of: Annotated[list[str], Meta(description="The notifications that it stands for, if it is a digest.")]
    sent_by: Annotated[str | None, Meta(description="The id of the key that sent it; null: an automation, or no key.")]
    created_at: Told
    send_at: Told | None
    armed_until: Told | None
    fired_at: Told | None
    cancelled_at: Told | None
    update: Annotated[UpdateAnswer | None, Meta(description="It replaces or withdraws an earlier one.")]
    updated_by: Annotated[str | None, Meta(description="The id of the newest one that replaces or withdraws this.")]
    campaign: Annotated[str | None, Meta(description="Of which this is a run.")] = None
    paused_at: Told | None = None


def update_of(notification: Notification) -> UpdateAnswer | None:
    """As the API shows it."""
    told = notification.update
    return None if told is None else UpdateAnswer(kind=told.kind, notification_id=told.first_id, renotify=told.renotify)


def request_of(notification: Notification) -> Json:
    """The stored request; of a long audience the first thousand and how many there are."""
    request: Json = msgspec.to_builtins(notification.message)
    to = {name: value for name, value in msgspec.to_builtins(notification.to).items() if value is not None}
    for name, value in to.items():
        if isinstance(value, list) and len(value) > SHOWN_AUDIENCE:
            to = {name: value[:SHOWN_AUDIENCE], "total": len(value)}
    arm = notification.armed_until is not None
    local = notification.local_time
    when = {
        "send_at": told_or_none(notification.send_at),
        "local_time": None if local is None else local.at,
        "local_time_passed": None if local is None else local.passed,
    }
    return {"to": to, **request, **when, "arm": arm}


def counts_of(reasons: dict[str, int], deliveries: dict[str, int]) -> Counts:
    """Counts by reason, summed up by decision too."""
    decisions: dict[str, int] = {}
    for reason, number in reasons.items():
        verdict = verdict_of(Reason(reason))
        decisions[verdict] = decisions.get(verdict, 0) + number
    return Counts(decisions=decisions, reasons=reasons, deliveries=deliveries)


class DecisionAnswer(Answer, frozen=True, kw_only=True):
    """What became of one candidate, and which gate said what: `[gate, verdict, input]` in order."""

    notification_id: str
    user_id: str
    decision: Verdict
    reason: Reason
    until: Told | None
    gates: list[Any]
    at: Told
    variant: Annotated[str | None, Meta(description="The wording that was chosen; null: there is one only.")] = None
    digest_id: Annotated[str | None, Meta(description="The notification that it was sent in; null: none.")] = None

    @classmethod
    def of(cls, record: DecisionRecord) -> "DecisionAnswer":
        """As the API shows it."""
        return cls(
            notification_id=record.notification_id,
            user_id=record.user_id,
            decision=verdict_of(record.reason),
            reason=record.reason,
            until=told_or_none(record.until),
            variant=variants.told(record.gates).key,
            gates=msgspec.json.decode(record.gates) if record.gates else [],
            at=told(record.at),
            digest_id=record.digest_id,
        )


class TrialDecision(Answer, frozen=True, kw_only=True):
    """A decision that a dry run would take."""

    user_id: str
    decision: Verdict
    reason: Reason
    until: Told | None
    variant: str | None
    gates: list[Any]
    at: Told


class DryRunAnswer(Answer, frozen=True, kw_only=True):
    """What would be decided: counts by reason, and at most 1,000 of the decisions."""

    counts: dict[str, int]
    variants: Annotated[dict[str, int], Meta(description="Who would be sent each variant; empty without variants.")]
    decisions: list[TrialDecision]
    took_ms: float


class DeliveryAnswer(Answer, frozen=True, kw_only=True):
    """One message to one device."""

    id: str
    notification_id: str
    user_id: str
    device_id: str
    kind: DeviceKind
    state: DeliveryWord
    reason: Reason | None
    provider_id: str | None
    attempts: int
    created_at: Told
    updated_at: Told

    @classmethod
    def of(cls, record: DeliveryRecord) -> "DeliveryAnswer":
        """As the API shows it."""
        id = delivery_id(record.notification_id, record.device)
        accepted = record.state >= DeliveryState.ACCEPTED
        named = record.provider_id or (str(UUID(bytes=id)) if accepted and record.kind is DeviceKind.APNS else None)
        return cls(
            id=id.hex(),
            notification_id=record.notification_id,
            user_id=record.user_id,
            device_id=record.device_id,
            kind=record.kind,
            state=record.state.name.lower(),
            reason=record.reason,
            provider_id=named,
            attempts=record.attempts,
            created_at=told(record.created_at),
            updated_at=told(record.updated_at),
        )


class NotificationList(Listing, frozen=True, kw_only=True):
    """Notifications, newest first."""

    items: list[NotificationSummary]


class DecisionList(Listing, frozen=True, kw_only=True):
    """Recorded decisions."""

    items: list[DecisionAnswer]


class DeliveryList(Listing, frozen=True, kw_only=True):
    """Deliveries, newest notification first."""

    items: list[DeliveryAnswer]
