"""What FCM asks of a message that fits the schema (reference of the HTTP v1 API, `projects.messages`)."""

import re
from typing import Any, Final

import msgspec

from clarion.testing.simulators import fcm_errors
from clarion.testing.simulators.fcm_errors import INVALID_TOKEN, Violation, fcm_error
from clarion.testing.simulators.fcm_schema import Reader

MAX_PAYLOAD: Final = 4_096
MAX_TOPIC_PAYLOAD: Final = 2_048
MAX_TTL_S: Final = 2_419_200
_RESERVED: Final = frozenset({"from", "message_type"})
_RESERVED_PREFIXES: Final = ("google.", "gcm.notification.")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_:%.-]{22,4096}")
_FID: Final = re.compile(r"[cdef][A-Za-z0-9_-]{21}")
_TOPIC: Final = re.compile(r"[a-zA-Z0-9-_.~%]{1,900}")
_CONDITION: Final = re.compile(r"!?\(*\s*!?'[a-zA-Z0-9-_.~%]+' in topics")


class Send(msgspec.Struct, frozen=True):
    """A request that FCM would take. `target` is a token, an installation, a topic or a condition, as `kind` says."""

    kind: str
    target: str
    message: dict[str, Any]
    validate_only: bool

    @property
    def key(self) -> str | None:
        """Under what a device shows one notification only: Android's tag, else that of APNs or the browser."""
        message = self.message
        places = (
            (android(message).get("notification", {}), "tag"),
            (message.get("apns", {}).get("headers", {}), "apns-collapse-id"),
            (message.get("webpush", {}).get("notification", {}), "tag"),
        )
        return next((place[name] for place, name in places if place.get(name)), None)

    @property
    def visible(self) -> bool:
        """Whether the system shows something; what is only data is the app's to show."""
        message = self.message
        aps = message.get("apns", {}).get("payload", {}).get("aps", {})
        shown = (
            message.get("notification"),
            android(message).get("notification"),
            message.get("webpush", {}).get("notification"),
            isinstance(aps, dict) and aps.get("alert"),
        )
        return any(shown)

    @property
    def collapse_key(self) -> str | None:
        """Under what FCM keeps one message only while the device is off."""
        given = android(self.message).get("collapseKey")
        return None if given is None else str(given)

    @property
    def ttl_s(self) -> float:
        """Seconds that FCM keeps the message: four weeks unless given."""
        return _seconds(android(self.message).get("ttl", f"{MAX_TTL_S}s"))


def android(message: dict[str, Any]) -> dict[str, Any]:
    """The part for Android, whichever of the two forms is used, with its notification in the place of the first."""
    if "androidV2" not in message:
        return dict(message.get("android", {}))
    given = dict(message["androidV2"])
    return given | {"notification": given.get("remoteNotification", {}).get("notification", {})}


def read_send(body: bytes) -> Send:
    """The request in a body. Raises `fcm_errors.Refusal`."""
    try:
        value = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError as error:
        text = f"Invalid JSON payload received. {error}"
        raise fcm_errors.Refusal("400 INVALID_ARGUMENT", fcm_errors.error(400, "INVALID_ARGUMENT", text)) from None
    reader = Reader()
    request = reader.read(value)
    if reader.violations:
        raise fcm_errors.malformed(*reader.violations)
    message = request.get("message", {})
    kind, target = _target(message)
    _check_android(message)
    _check_data(message)
    _check_webpush(message)
    _check_size(message, MAX_TOPIC_PAYLOAD if kind in {"topic", "condition"} else MAX_PAYLOAD)
    return Send(kind, target, message, request.get("validateOnly", False))


def _target(message: dict[str, Any]) -> tuple[str, str]:
    kind = next((name for name in ("token", "fid", "topic", "condition") if message.get(name)), None)
    if kind is None:
        raise fcm_errors.invalid("message", "Recipient of the message is not set.")
    target = str(message[kind])
    if (kind == "token" and not _TOKEN.fullmatch(target)) or (kind == "fid" and not _FID.fullmatch(target)):
        violation = fcm_errors.bad_request(Violation(f"message.{kind}", INVALID_TOKEN))
        response = fcm_errors.error(400, "INVALID_ARGUMENT", INVALID_TOKEN, fcm_error("INVALID_ARGUMENT"), violation)
        raise fcm_errors.Refusal("400 INVALID_ARGUMENT", response)
    if kind == "topic" and not _TOPIC.fullmatch(target):
        raise fcm_errors.invalid("message", "Topic name contains invalid characters.")
    if kind == "condition" and not _CONDITION.match(target):
        status, name, text = fcm_errors.ERROR_CODES["INVALID_ARGUMENT"]
        raise fcm_errors.Refusal("400 INVALID_ARGUMENT", fcm_errors.error(status, name, text))
    return kind, target


def _check_android(message: dict[str, Any]) -> None:
    if "android" in message and "androidV2" in message:
        raise fcm_errors.invalid("message.android_v2", "android and android_v2 are mutually exclusive.")
    ttl = android(message).get("ttl")
    if ttl is not None and not 0 <= _seconds(ttl) <= MAX_TTL_S:
        part = "android_v2" if "androidV2" in message else "android"
        raise fcm_errors.invalid(f"message.{part}.ttl", f"TTL must be a duration from 0 to {MAX_TTL_S} seconds.")


def _check_data(message: dict[str, Any]) -> None:
    places = {"message.data": message, "message.android.data": android(message)}
    for path, holder in places.items():
        for index, name in enumerate(holder.get("data", {})):
            if name in _RESERVED or name.startswith(_RESERVED_PREFIXES):
                raise fcm_errors.invalid(f"{path}[{index}].key", f"Invalid data payload key: {name}")


def _check_webpush(message: dict[str, Any]) -> None:
    headers = {name.lower(): value for name, value in message.get("webpush", {}).get("headers", {}).items()}
    if not headers.get("ttl", "0").isdecimal():
        raise fcm_errors.invalid("message.webpush.headers.TTL", "TTL must be a non-negative integer.")


def _check_size(message: dict[str, Any], limit: int) -> None:
    """By platform: what the device gets. Google does not say how it counts; we count keys and values in UTF-8."""
    common, webpush = message.get("notification", {}), message.get("webpush", {})
    own = android(message)
    for data, notification in (
        (own.get("data", message.get("data", {})), common | own.get("notification", {})),
        (webpush.get("data", message.get("data", {})), common | webpush.get("notification", {})),
        ({}, message.get("apns", {}).get("payload", {})),
    ):
        size = sum(len(name.encode()) + len(value.encode()) for name, value in data.items())
        if notification:
            size += len(msgspec.json.encode(notification))
        if size > limit:
            raise fcm_errors.too_large()


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))
