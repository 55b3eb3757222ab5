"""The system's words in sentences that people read, and numbers and times as they are shown."""

from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from clarion.model import DeliveryState, DeviceKind, Ended, Millis, Reason, Verdict, verdict_of

REASONS: Final = MappingProxyType(
    {
        Reason.SEND: "Send",
        Reason.QUIET_HOURS: "Waits for the end of quiet hours",
        Reason.BEST_TIME: "Waits for a better time",
        Reason.CAP_WAIT: "Waits for room under a cap",
        Reason.SCHEDULE: "Waits for its time",
        Reason.PROVIDER_DOWN: "Waits for a push service",
        Reason.DIGEST: "Waits for a digest",
        Reason.EXPERIMENT: "Waits for the better words",
        Reason.PAUSED: "Its campaign is paused",
        Reason.NO_PERMISSION: "The device does not allow it",
        Reason.NO_CONSENT: "Never said yes",
        Reason.OPTED_OUT: "Said no",
        Reason.NO_DEVICE: "Has no device",
        Reason.CAP_REACHED: "Had enough already",
        Reason.DUPLICATE: "Got the same before",
        Reason.IN_DIGEST: "Went together with others",
        Reason.EXPIRED: "Came too late",
        Reason.TIME_PASSED: "Its time was over where they are",
        Reason.CANCELLED: "Cancelled",
        Reason.SUPERSEDED: "Got newer words instead",
        Reason.HOLDOUT: "In a control group",
        Reason.NOT_IN_SEGMENT: "Not in the segment",
        Reason.NOT_SUBSCRIBED: "Not subscribed to the topic",
        Reason.IRRELEVANT: "Not needed any more",
        Reason.CATEGORY_MISMATCH: "May not wear this category",
        Reason.TEMPLATE_ERROR: "The text does not work for them",
        Reason.TOO_LARGE: "Too large for the device",
        Reason.DEVICE_GONE: "The device is gone",
        Reason.BAD_CREDENTIALS: "The push service refuses our key",
        Reason.REJECTED: "The push service refused it",
        Reason.PROVIDER_ERROR: "The push service failed",
    }
)
STATES: Final = MappingProxyType(
    {
        DeliveryState.CLICKED: "Clicked",
        DeliveryState.DISMISSED: "Dismissed",
        DeliveryState.DISPLAYED: "Shown",
        DeliveryState.DELIVERED: "Delivered",
        DeliveryState.ACCEPTED: "Accepted by the push service",
        DeliveryState.SENT: "Sent",
        DeliveryState.QUEUED: "Under way",
        DeliveryState.EXPIRED: "Expired",
        DeliveryState.FAILED: "Failed",
    }
)
"""The furthest first."""
KINDS: Final = MappingProxyType(
    {
        DeviceKind.APNS: "iOS",
        DeviceKind.FCM: "Android",
        DeviceKind.WEBPUSH: "Web",
        DeviceKind.EMAIL: "E-mail",
        DeviceKind.SMS: "SMS",
        DeviceKind.INBOX: "Inbox",
    }
)
ENDS: Final = MappingProxyType(
    {
        Ended.GOAL: ("Reached the goal", "lit"),
        Ended.DONE: ("Went to the end", "good"),
        Ended.EXIT: ("Left on the way", "wait"),
        Ended.CANCELLED: ("Cancelled", "off"),
    }
)
"""How a run ended, and its colour."""
TONES: Final = MappingProxyType({Verdict.SEND: "good", Verdict.HOLD: "wait", Verdict.DROP: "off"})
_STATE_TONES = {
    DeliveryState.CLICKED: "lit",
    DeliveryState.DISMISSED: "lit",
    DeliveryState.DISPLAYED: "good",
    DeliveryState.DELIVERED: "good",
    DeliveryState.QUEUED: "wait",
    DeliveryState.EXPIRED: "off",
    DeliveryState.FAILED: "bad",
}
_SIZES = ((1_000_000, "M"), (1_000, "k"))


def reason(code: str) -> str:
    """What a reason code says."""
    return REASONS[Reason(code)]


def tone(code: str) -> str:
    """The colour of a reason."""
    return TONES[verdict_of(Reason(code))]


def state_tone(state: DeliveryState) -> str:
    """The colour of a delivery's state."""
    return _STATE_TONES.get(state, "plain")


def whole(number: int) -> str:
    """With spaces between thousands that never break."""
    return f"{number:,}".replace(",", "\u202f")


def short(number: float) -> str:
    """At most four digits: 1 283, 12.8k, 1.28M."""
    for size, letter in _SIZES:
        if number >= size * (10 if letter == "k" else 1):
            return f"{number / size:.3g}{letter}"
    return whole(round(number))


def percent(part: int, total: int) -> str:
    """Three digits, and never 0 or 100 for what is not; a dash for a part of nothing."""
    if not total:
        return "-"
    share = 100 * part / total
    if 0 < share < 0.1:  # noqa: PLR2004 - the least that is written
        return "< 0.1\u202f%"
    if 99.9 < share < 100:  # noqa: PLR2004 - and the most
        return "> 99.9\u202f%"
    return f"{share:.3g}\u202f%"


def rate(value: float) -> str:
    """A part of 1 with two figures that count: 12 %, 1.2 %, 0.12 %."""
    number = 100 * value
    digits = 0 if number >= 10 or number == 0 else 1 if number >= 1 else 2  # noqa: PLR2004 - the powers of ten
    return f"{number:.{digits}f} %"


def zone_of(name: str) -> ZoneInfo:
    """A time zone; UTC where nobody knows it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def moment(at: Millis | None, zone: ZoneInfo) -> dict[str, str] | None:
    """A time as pages show it, and as machines read it."""
    if at is None:
        return None
    told = datetime.fromtimestamp(at / 1000, UTC)
    local = told.astimezone(zone)
    day = f"{local.day} {local:%b}"
    return {
        "iso": told.isoformat(timespec="milliseconds"),
        "text": f"{day}, {local:%H:%M:%S}",
        "minute": f"{day}, {local:%H:%M}",
    }
