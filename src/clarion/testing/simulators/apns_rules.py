"""What APNs asks of a request, as functions over it.

The facts are in Apple's "Sending notification requests to APNs" and "Handling notification responses from APNs". Where
Apple says only that something is wrong, the reason is our choice and the function says so.
"""

import re
import uuid
from collections import Counter
from collections.abc import Collection
from typing import Any, Final

import msgspec

from clarion.testing.simulators.exchange import Request

REASONS: Final[dict[str, int]] = {
    "BadCollapseId": 400,
    "BadDeviceToken": 400,
    "BadExpirationDate": 400,
    "BadMessageId": 400,
    "BadPriority": 400,
    "BadTopic": 400,
    "DeviceTokenNotForTopic": 400,
    "DuplicateHeaders": 400,
    "IdleTimeout": 400,
    "InvalidPushType": 400,
    "MissingDeviceToken": 400,
    "MissingTopic": 400,
    "PayloadEmpty": 400,
    "TopicDisallowed": 400,
    "BadCertificate": 403,
    "BadCertificateEnvironment": 403,
    "ExpiredProviderToken": 403,
    "Forbidden": 403,
    "InvalidProviderToken": 403,
    "MissingProviderToken": 403,
    "UnrelatedKeyIdInToken": 403,
    "BadEnvironmentKeyIdInToken": 403,
    "BadPath": 404,
    "MethodNotAllowed": 405,
    "ExpiredToken": 410,
    "Unregistered": 410,
    "PayloadTooLarge": 413,
    "TooManyProviderTokenUpdates": 429,
    "TooManyRequests": 429,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
    "Shutdown": 503,
}
"""Every reason and its status. The order numbers the codes of tokens: new ones go to the end."""

TOPIC_SUFFIX: Final[dict[str, str]] = {
    "alert": "",
    "background": "",
    "controls": ".push-type.controls",
    "complication": ".complication",
    "fileprovider": ".pushkit.fileprovider",
    "liveactivity": ".push-type.liveactivity",
    "location": ".location-query",
    "mdm": "",
    "pushtotalk": ".voip-ptt",
    "voip": ".voip",
    "widgets": ".push-type.widgets",
}
"""Every push type, and what comes after the bundle id in its topic."""

MAX_PAYLOAD: Final = 4_096
MAX_VOIP_PAYLOAD: Final = 5_120
MAX_COLLAPSE_ID: Final = 64
_DEVICE: Final = re.compile(r"/3/device(?:/([^/?]*))?")
# Apple says never to assume a length; what is shorter than 16 bytes was never handed out.
_TOKEN: Final = re.compile(r"(?:[0-9a-fA-F]{2}){16,100}")
_ONCE: Final = frozenset({"authorization", "content-length", "content-type"})
_DIGITS: Final = re.compile(r"[0-9]{1,19}")


class Refusal(Exception):
    """The request is refused with this reason. `timestamp` is in milliseconds since the epoch."""

    def __init__(self, reason: str, timestamp: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.timestamp = timestamp


class Push(msgspec.Struct, frozen=True):
    """A request that Apple would take, given a right sender. `expiration` is in seconds since the epoch."""

    token: str
    topic: str
    push_type: str
    id: str
    expiration: int | None
    priority: int
    collapse_id: str | None
    payload: dict[str, Any]

    @property
    def visible(self) -> bool:
        """Whether the device shows something of its own accord."""
        alert = self.payload.get("aps", {}).get("alert")
        return bool(alert) if self.push_type == "alert" else self.push_type in {"voip", "liveactivity"}


def device_token(request: Request) -> str:
    """The token in the path. Raises Refusal: MethodNotAllowed, BadPath, MissingDeviceToken."""
    if request.method != "POST":
        raise Refusal("MethodNotAllowed")
    found = _DEVICE.fullmatch(request.path)
    if found is None:
        raise Refusal("BadPath")
    if not found[1]:
        raise Refusal("MissingDeviceToken")
    return str(found[1])


def check_repeated(request: Request) -> None:
    """Each header of APNs comes once. Raises Refusal: DuplicateHeaders."""
    if len(request.headers) == len(request.fields):
        return
    counts = Counter(name for name, _ in request.fields)
    if any(count > 1 and (name in _ONCE or name.startswith("apns-")) for name, count in counts.items()):
        raise Refusal("DuplicateHeaders")


def read_push(request: Request, token: str, topic: str | None) -> Push:
    """The push; `topic` is that of the sender's certificate, if it has one. Raises Refusal."""
    headers = request.headers
    check_repeated(request)
    push_type = _push_type(headers.get("apns-push-type"))
    topic = headers.get("apns-topic") or topic
    if not topic:
        raise Refusal("MissingTopic")
    id_ = _message_id(headers.get("apns-id"))
    expiration = _number(headers.get("apns-expiration"), "BadExpirationDate")
    priority = _priority(headers.get("apns-priority"), push_type)
    collapse_id = headers.get("apns-collapse-id")
    if collapse_id is not None and len(collapse_id.encode("latin-1")) > MAX_COLLAPSE_ID:
        raise Refusal("BadCollapseId")
    payload = _payload(request.body, push_type)
    if not _TOKEN.fullmatch(token):
        raise Refusal("BadDeviceToken")
    kind = push_type or ("alert" if payload.get("aps", {}).get("alert") else "background")
    return Push(token, topic, kind, id_, expiration, priority, collapse_id, payload)


def check_topic(topic: str, push_type: str, bundles: Collection[str]) -> None:
    """The topic is a bundle id of the sender with the push type's suffix (table of the header apns-push-type).

    Raises Refusal: TopicDisallowed for another's bundle id, BadTopic for a wrong suffix (the reason is our choice).
    """
    if any(topic == bundle + TOPIC_SUFFIX[push_type] for bundle in bundles):
        return
    suffixes = set(TOPIC_SUFFIX.values())
    if any(topic == bundle + suffix for bundle in bundles for suffix in suffixes):
        raise Refusal("BadTopic")
    raise Refusal("TopicDisallowed")


def _push_type(given: str | None) -> str | None:
    """Optional, but for watchOS; when given it must be one of Apple's."""
    if given is not None and given not in TOPIC_SUFFIX:
        raise Refusal("InvalidPushType")
    return given


def _message_id(given: str | None) -> str:
    """A canonical UUID, 8-4-4-4-12; APNs makes one when it is left out."""
    if given is None:
        return str(uuid.uuid4())
    try:
        parsed = uuid.UUID(given)
    except ValueError:
        raise Refusal("BadMessageId") from None
    if str(parsed) != given.lower():
        raise Refusal("BadMessageId")
    return given


def _number(given: str | None, reason: str) -> int | None:
    if given is None:
        return None
    if not _DIGITS.fullmatch(given):
        raise Refusal(reason)
    return int(given)


def _priority(given: str | None, push_type: str | None) -> int:
    """10 unless given. For background it must be 5: Apple calls 10 an error, and leaving it out means 10."""
    priority = 10 if given is None else _number(given, "BadPriority")
    if priority not in (10, 5, 1):
        raise Refusal("BadPriority")
    if push_type == "background" and priority == 10:  # noqa: PLR2004
        raise Refusal("BadPriority")
    return priority


def _payload(body: bytes, push_type: str | None) -> dict[str, Any]:
    """A JSON object with something in it. That what is no JSON counts as empty is our choice."""
    if len(body) > (MAX_VOIP_PAYLOAD if push_type == "voip" else MAX_PAYLOAD):
        raise Refusal("PayloadTooLarge")
    try:
        payload = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        raise Refusal("PayloadEmpty") from None
    if not payload or not isinstance(payload.get("aps", {}), dict):
        raise Refusal("PayloadEmpty")
    return payload
