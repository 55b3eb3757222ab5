"""The whole story of one person, told from the records: what happened, in the words of the way, in time order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from clarion.journey.losses import Tied
from clarion.model import (
    CHANNEL_OF_KIND,
    Consent,
    DeliveryState,
    Device,
    DeviceState,
    Event,
    Json,
    Key,
    Millis,
    Permission,
    Reason,
    Update,
    UpdateKind,
    verdict_of,
)
from clarion.ports import ANY_CATEGORY, DecisionRecord, DeliveryRecord, LossKind, ReceiptRecord

# The newest of each kind of record that a story is told from.
MOST = 50
_LOST = {
    LossKind.OPT_OUT: "Lost for {category} by {channel}",
    LossKind.PERMISSION: "Permission was lost",
    LossKind.SUBSCRIPTION: "The subscription was lost",
}
WAY = ("permission", "registration", "trigger", "audience", "decide", "compose", "deliver", "display", "learn")


class Chapter(msgspec.Struct, frozen=True):
    """One thing that happened. `stage` is a word of the way; `what` is a sentence; `detail` is for a closer look."""

    at: Millis
    stage: str
    what: str
    detail: Json


class Records(msgspec.Struct, frozen=True):
    """What the store knows of a person. `updates`: of those notifications that change what an earlier one shows."""

    devices: Sequence[Device]
    consents: Sequence[Consent]
    events: Sequence[Event]
    decisions: Sequence[DecisionRecord]
    deliveries: Sequence[DeliveryRecord]
    receipts: Sequence[ReceiptRecord]
    updates: Mapping[Key, Update] = {}
    losses: Sequence[Tied] = ()


def tell(records: Records) -> list[Chapter]:
    """The chapters in time order; what happened in the same millisecond keeps the order of the way."""
    notification_ids = {delivery.notification: delivery.notification_id for delivery in records.deliveries}
    chapters = [
        *_registrations(records.devices),
        *_consents(records.consents),
        *_events(records.events),
        *_decisions(records.decisions, records.updates),
        *_deliveries(records.deliveries),
        *_receipts(records.receipts, notification_ids, records.updates),
        *_losses(records.losses, notification_ids),
    ]
    return sorted(chapters, key=lambda chapter: (chapter.at, WAY.index(chapter.stage)))


def _registrations(devices: Iterable[Device]) -> Iterator[Chapter]:
    for device in devices:
        facts = {"device_id": device.id, "kind": device.kind, "model": device.model}
        if device.registered_at != device.created_at:
            # What it answered at first is not kept, only that it was there.
            yield Chapter(device.created_at, "registration", f"The {device.kind} device came for the first time", facts)
        yield Chapter(
            device.registered_at,
            "permission",
            f"The {device.kind} device answered: {device.permission}",
            {**facts, "permission": device.permission},
        )
        if device.address is not None:
            yield Chapter(
                device.registered_at,
                "registration",
                f"The {CHANNEL_OF_KIND[device.kind]} device got an address",
                {**facts, "state": device.state},
            )
        if device.state is not DeviceState.ACTIVE:
            yield Chapter(
                device.updated_at,
                "learn",
                f"The device was {device.state}: {device.state_reason or 'no reason given'}",
                {**facts, "state": device.state, "reason": device.state_reason},
            )


def _consents(consents: Iterable[Consent]) -> Iterator[Chapter]:
    for line in consents:
        if line.category == ANY_CATEGORY:
            permission = Permission.GRANTED if line.granted else Permission.DENIED
            told = "Permission was given again" if line.granted else "Permission was taken back"
            yield Chapter(line.at, "permission", told, {"permission": permission, "source": line.source})
            continue
        word = "yes" if line.granted else "no"
        yield Chapter(
            line.at,
            "permission",
            f"Said {word} to {line.category} by {line.channel}",
            {"category": line.category, "channel": line.channel, "granted": line.granted, "source": line.source},
        )


def _events(events: Iterable[Event]) -> Iterator[Chapter]:
    for event in events:
        yield Chapter(event.occurred_at, "trigger", f"Event {event.name}", {"properties": event.properties})


def _decisions(decisions: Iterable[DecisionRecord], updates: Mapping[Key, Update]) -> Iterator[Chapter]:
    for decision in decisions:
        verdict, update = verdict_of(decision.reason), updates.get(decision.notification)
        changes = {} if update is None else {"update": {"kind": update.kind, "notification_id": update.first_id}}
        yield Chapter(
            decision.at,
            "decide",
            _decided(decision, update),
            {
                "notification_id": decision.notification_id,
                "decision": verdict,
                "reason": decision.reason,
                "until": decision.until,
                "gates": msgspec.json.decode(decision.gates),
                **changes,
                **({} if decision.digest_id is None else {"digest_id": decision.digest_id}),
                **({} if decision.campaign is None else {"campaign": decision.campaign}),
            },
        )


def _decided(decision: DecisionRecord, update: Update | None) -> str:
    if decision.reason is Reason.IN_DIGEST:
        return "Decided to send in a digest"
    verdict = verdict_of(decision.reason)
    if verdict != "send":
        return f"Decided to {verdict}: {decision.reason}"
    if update is None:
        return "Decided to send"
    if update.kind is UpdateKind.WITHDRAW:
        return f"Decided to withdraw {update.first_id}"
    return f"Decided to send, in the place of {update.first_id}"


def _deliveries(deliveries: Iterable[DeliveryRecord]) -> Iterator[Chapter]:
    for delivery in deliveries:
        # Receipts tell the rest; the outcome itself is not dated apart from the last change.
        failed = delivery.state in (DeliveryState.FAILED, DeliveryState.EXPIRED)
        held = delivery.state is DeliveryState.QUEUED and delivery.reason is not None
        state = delivery.state.name.lower()
        words = f"Delivery {state}" if failed or held else f"Delivery queued, now {state}"
        yield Chapter(
            delivery.updated_at if failed else delivery.created_at,
            "deliver",
            f"{words}: {delivery.reason}" if delivery.reason else words,
            {
                "notification_id": delivery.notification_id,
                "device_id": delivery.device_id,
                "kind": delivery.kind,
                "state": state,
                "reason": delivery.reason,
                "attempts": delivery.attempts,
            },
        )


def _receipts(
    receipts: Iterable[ReceiptRecord], notification_ids: dict[int, str], updates: Mapping[Key, Update]
) -> Iterator[Chapter]:
    for receipt in receipts:
        action = f" ({receipt.action})" if receipt.action else ""
        update = updates.get(receipt.notification)
        if update is not None and update.kind is UpdateKind.WITHDRAW:
            action = ", and has closed it"
        yield Chapter(
            receipt.at,
            "display" if receipt.kind in ("delivered", "displayed") else "learn",
            f"The device tells: {receipt.kind}{action}",
            {
                "notification_id": notification_ids.get(receipt.notification),
                "kind": receipt.kind,
                "action": receipt.action,
            },
        )


def _losses(losses: Iterable[Tied], notification_ids: dict[int, str]) -> Iterator[Chapter]:
    told_before = set()
    for loss, touches in losses:
        told = list(dict.fromkeys(touch.notification for touch in touches))
        about = (loss.kind, loss.category, loss.device, *told[-1:])
        if not told or about in told_before:  # who says no three times is lost once
            continue
        told_before.add(about)
        messages = "a message" if len(told) == 1 else f"{len(told)} messages"
        yield Chapter(
            loss.at,
            "learn",
            f"{_LOST[loss.kind].format(category=loss.category, channel=loss.channel)} within a day of {messages}",
            {
                "loss": loss.kind,
                "category": loss.category,
                "channel": loss.channel,
                "notification_ids": [notification_ids[key] for key in told if key in notification_ids],
            },
        )
