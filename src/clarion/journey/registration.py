"""Registration: a device gets an address and the lane of its messages. What must hold before it is stored."""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit
from zlib import crc32

import msgspec

from clarion.crypto.credentials import ApnsCertificate, ApnsSecret, ApnsToken, among
from clarion.crypto.vapid import origin_of
from clarion.errors import FieldError, InvalidRequest
from clarion.model import DeviceKind, Registration

# Push services that so many browsers use that each has a lane of its own: by host, or by the end of it.
_SERVICES = {
    "fcm.googleapis.com": "fcm.googleapis.com",
    "updates.push.services.mozilla.com": "updates.push.services.mozilla.com",
    ".push.apple.com": "web.push.apple.com",
    ".notify.windows.com": "notify.windows.com",
}
# All others share these many: whoever registers what, the number of lanes stays bounded.
OTHER_LANES = 64
_OTHER = "other-"
OWN_LANE = "own"
_OTHER_APPS = "?"

_NEEDED = {DeviceKind.WEBPUSH: ("p256dh", "auth")}


def complete(registration: Registration, secrets: Mapping[str, bytes], current: str, own_origin: str) -> Registration:
    """The registration with its defaults, or an error that names every wrong field.

    `secrets` are the project's credentials of this kind by name, `current` the Web Push key that new subscriptions use:
    a subscription is bound to the key it was made with (RFC 8292 section 4.2), so the key is stored with it.
    `own_origin`: see `lane_of`.

    Raises:
        InvalidRequest: keys missing, or a VAPID key of somebody else.
    """
    problems = []
    if registration.address is None:
        return registration
    problems += [
        FieldError(name, f"a {registration.kind} device needs it")
        for name in _NEEDED.get(registration.kind, ())
        if not registration.details.get(name)
    ]
    if registration.kind is DeviceKind.WEBPUSH:
        key = registration.details.get("vapid_public_key") or current
        if key not in secrets:
            problems.append(
                FieldError("vapid_public_key", "must be a Web Push key of this project (GET /v1/sdk/config)")
            )
        registration = msgspec.structs.replace(registration, details={**registration.details, "vapid_public_key": key})
    if problems:
        raise InvalidRequest("the device is not complete", errors=problems)
    apps = _apps(secrets) if registration.kind is DeviceKind.APNS else ()
    return msgspec.structs.replace(registration, lane=lane_of(registration, own_origin, apps))


def _apps(secrets: Mapping[str, bytes]) -> set[str]:
    named: list[ApnsSecret] = among(secrets, ApnsToken, ApnsCertificate)
    return {each.bundle_id for each in named}


def lane_of(registration: Registration, own_origin: str, apps: Collection[str] = ()) -> str:
    """Where the device's messages go: one push service, as one credential sees it; each has a queue of its own.

    `own_origin`: that of our own push service's endpoints; `apps`: the bundle ids that the project's credentials name.
    All others share a lane: anybody may register a device for an app that is none. Devices that were registered before
    there were lanes got theirs in migration 0004.
    """
    details = registration.details
    match registration.kind:
        case DeviceKind.APNS:
            bundle_id = details.get("bundle_id", "")
            app = bundle_id if not bundle_id or bundle_id in apps else _OTHER_APPS
            return f"{details.get('environment', 'production')}/{app}"
        case DeviceKind.WEBPUSH:
            address = registration.address or ""
            return OWN_LANE if _origin(address) == own_origin else _service(_host(address))
        case _:
            return ""


def is_shared(lane: str) -> bool:
    """Whether a lane of Web Push is for services that have nothing to do with each other."""
    return lane.startswith(_OTHER) or not lane


def _origin(address: str) -> str | None:
    try:
        return origin_of(address)
    except ValueError:
        return None


def _host(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _service(host: str) -> str:
    for end, name in _SERVICES.items():
        if host == end or (end.startswith(".") and host.endswith(end)):
            return name
    return f"{_OTHER}{crc32(host.encode()) % OTHER_LANES:02}"
