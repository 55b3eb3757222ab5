"""What a notification is on each kind of device: one module a kind, each a function from words to a payload."""

from collections.abc import Callable

from clarion.errors import FieldError
from clarion.journey.payloads import apns, fcm, webpush
from clarion.journey.payloads.written import Draft, Written
from clarion.model import DeviceKind, Message

__all__ = ["DRAFTS", "Draft", "Written", "problems"]

DRAFTS: dict[DeviceKind, Callable[[Written], Draft]] = {
    DeviceKind.APNS: apns.draft,
    DeviceKind.FCM: fcm.draft,
    DeviceKind.WEBPUSH: webpush.draft,
}


def problems(message: Message) -> list[FieldError]:
    """What is certainly wrong with the parts of a message that are for one kind of device only."""
    return [*apns.problems(message.apns), *fcm.problems(message.fcm)]
