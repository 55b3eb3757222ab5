"""The words that every other noun uses: units, limits, the lists of what can be, and the base of them all."""

from enum import IntEnum, StrEnum
from typing import Any, TypeAlias

import msgspec

Millis: TypeAlias = int
Key: TypeAlias = int
Json: TypeAlias = dict[str, Any]

DAY_MS = 86_400_000
ARMED_LIFE_MS = 7 * DAY_MS
"""How long what was prepared waits for its fire."""
LOCAL_SPREAD_MS = 27 * 3_600_000
"""From the first to the last person of a local time: 26 hours between the zones, or a day that has 25."""
DEFAULT_TTL_SECONDS = 3 * 86_400
MAX_TTL_SECONDS = 30 * 86_400
MAX_CAP_SECONDS = 60 * 86_400
MAX_DIGEST_SECONDS = 7 * 86_400
AUTOMATION_SENDER = "automation:"
"""How a category's list of keys names an automation: this and its name."""


class DeviceKind(StrEnum):
    """What kind of address a device is."""

    APNS = "apns"
    FCM = "fcm"
    WEBPUSH = "webpush"
    EMAIL = "email"
    SMS = "sms"
    INBOX = "inbox"


class Channel(StrEnum):
    """The ways that a person can say yes or no to, per category."""

    PUSH = "push"
    EMAIL = "email"
    SMS = "sms"
    INBOX = "inbox"


CHANNEL_OF_KIND = {
    DeviceKind.APNS: Channel.PUSH,
    DeviceKind.FCM: Channel.PUSH,
    DeviceKind.WEBPUSH: Channel.PUSH,
    DeviceKind.EMAIL: Channel.EMAIL,
    DeviceKind.SMS: Channel.SMS,
    DeviceKind.INBOX: Channel.INBOX,
}


class Permission(StrEnum):
    """What the operating system or browser answered."""

    DEFAULT = "default"
    GRANTED = "granted"
    PROVISIONAL = "provisional"
    DENIED = "denied"


class DeviceState(StrEnum):
    """Whether we send to a device. Retired on proof, quarantined on doubt; registering again makes it active."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"
    RETIRED = "retired"


class CategoryClass(StrEnum):
    """How a category is treated: always, unless refused, only when wanted."""

    MANDATORY = "mandatory"
    INFORMATIONAL = "informational"
    MARKETING = "marketing"


class Verdict(StrEnum):
    """The three ways a decision can go."""

    SEND = "send"
    HOLD = "hold"
    DROP = "drop"


class Reason(StrEnum):
    """Why: the one list of reason codes for decisions and deliveries."""

    SEND = "send"
    IN_DIGEST = "in_digest"  # with others, as one message
    # hold
    QUIET_HOURS = "quiet_hours"
    BEST_TIME = "best_time"
    CAP_WAIT = "cap_wait"
    SCHEDULE = "schedule"
    PROVIDER_DOWN = "provider_down"
    DIGEST = "digest"
    EXPERIMENT = "experiment"
    PAUSED = "paused"
    # drop
    NO_PERMISSION = "no_permission"
    NO_CONSENT = "no_consent"
    OPTED_OUT = "opted_out"
    NO_DEVICE = "no_device"
    CAP_REACHED = "cap_reached"
    DUPLICATE = "duplicate"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    HOLDOUT = "holdout"
    NOT_IN_SEGMENT = "not_in_segment"
    NOT_SUBSCRIBED = "not_subscribed"
    IRRELEVANT = "irrelevant"
    TIME_PASSED = "time_passed"  # on the person's wall, before the notification began
    CATEGORY_MISMATCH = "category_mismatch"
    TEMPLATE_ERROR = "template_error"
    TOO_LARGE = "too_large"
    # a delivery that failed
    DEVICE_GONE = "device_gone"
    BAD_CREDENTIALS = "bad_credentials"
    REJECTED = "rejected"
    PROVIDER_ERROR = "provider_error"


HOLD_REASONS = frozenset(
    {
        Reason.QUIET_HOURS,
        Reason.BEST_TIME,
        Reason.CAP_WAIT,
        Reason.SCHEDULE,
        Reason.PROVIDER_DOWN,
        Reason.DIGEST,
        Reason.EXPERIMENT,
        Reason.PAUSED,
    }
)


_SENT = frozenset({Reason.SEND, Reason.IN_DIGEST})


def verdict_of(reason: Reason) -> Verdict:
    """The verdict that a decision's reason implies."""
    if reason in _SENT:
        return Verdict.SEND
    return Verdict.HOLD if reason in HOLD_REASONS else Verdict.DROP


class DeliveryState(IntEnum):
    """How far one message to one device came. The order is the progress: a state never goes back.

    `FAILED` and `EXPIRED` stand low, so that a receipt from the device, which is proof, overrules them.
    """

    QUEUED = 0
    FAILED = 1
    EXPIRED = 2
    SENT = 3
    ACCEPTED = 4
    DELIVERED = 5
    DISPLAYED = 6
    DISMISSED = 7
    CLICKED = 8


class ReceiptKind(StrEnum):
    """What a device tells about a delivery."""

    DELIVERED = "delivered"
    DISPLAYED = "displayed"
    CLICKED = "clicked"
    DISMISSED = "dismissed"


STATE_OF_RECEIPT = {
    ReceiptKind.DELIVERED: DeliveryState.DELIVERED,
    ReceiptKind.DISPLAYED: DeliveryState.DISPLAYED,
    ReceiptKind.DISMISSED: DeliveryState.DISMISSED,
    ReceiptKind.CLICKED: DeliveryState.CLICKED,
}


class Urgency(StrEnum):
    """RFC 8030 section 5.3, the least first."""

    VERY_LOW = "very-low"
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"

    @property
    def and_above(self) -> tuple["Urgency", ...]:
        """Itself and all that are more urgent."""
        every = tuple(Urgency)
        return every[every.index(self) :]


class UpdateKind(StrEnum):
    """What a notification does to an earlier one that stands on screens."""

    REPLACE = "replace"
    WITHDRAW = "withdraw"


class LockScreen(StrEnum):
    """What a locked screen may show."""

    SHOW = "show"
    HIDE_CONTENT = "hide_content"
    HIDE = "hide"


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the nouns: immutable, keyword-only, unknown fields are typing mistakes."""
