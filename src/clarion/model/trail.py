"""What became of a notification: a decision for each person, a delivery for each device, and what came back."""

from hashlib import blake2b

import msgspec

from clarion.model.words import DeliveryState, DeviceKind, DeviceState, Key, Millis, Reason, ReceiptKind


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What became of one candidate. `gates` is compact JSON text: `[["gate", verdict, input], …]` in order."""

    notification: Key
    user: Key
    reason: Reason
    until: Millis | None
    gates: str
    at: Millis


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One message to one device, newly queued."""

    notification: Key
    user: Key
    device: Key
    kind: DeviceKind


def delivery_id(notification_id: str, device: Key) -> bytes:
    """The 128-bit id of one message to one device: the same however often it is sent again."""
    return blake2b(f"{notification_id}:{device}".encode(), digest_size=16).digest()


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one delivery in one attempt; `state` QUEUED means that it is tried again."""

    notification: Key
    user: Key
    device: Key
    state: DeliveryState
    reason: Reason | None
    provider_id: str | None
    attempts: int


class DeviceVerdict(msgspec.Struct, frozen=True, gc=False):
    """A provider's word about an address; it counts only if the device did not register after `sent_at`."""

    device: Key
    state: DeviceState
    reason: str
    sent_at: Millis


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What a device told, after its token was verified."""

    project: Key
    notification: Key
    user: Key
    device: Key
    kind: ReceiptKind
    action: str | None
    at: Millis
