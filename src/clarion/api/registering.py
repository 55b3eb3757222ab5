"""A device as callers tell of it becomes a `Registration`: every key checked, every address one that may be sent to."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

from clarion.api.fields import check_zone
from clarion.api.schemas import AnyDevice, ApnsDevice, DeviceBody, FcmDevice, WebPushDevice
from clarion.config import Settings
from clarion.crypto import base64url
from clarion.crypto.p256 import load_public
from clarion.crypto.webpush import BadSubscription, parse_keys
from clarion.errors import InvalidRequest
from clarion.model import DeviceKind, Permission, Registration


def registration(device: AnyDevice, settings: Settings) -> Registration:
    """What is registered. Raises InvalidRequest naming the field."""
    check_zone(device.timezone)
    return Registration(
        kind=DeviceKind(str(device.__struct_config__.tag)),
        address=_address(device, settings),
        permission=device.permission or Permission.GRANTED,
        locale=device.locale,
        timezone=device.timezone,
        app_version=device.app_version,
        model=device.model,
        installation=device.installation,
        previous_address=device.previous_address,
        details=_details(device),
    )


def _address(device: AnyDevice, settings: Settings) -> str | None:
    if isinstance(device, WebPushDevice) and device.address is not None:
        check_endpoint(device.address, settings)
    return device.address


def _details(device: DeviceBody) -> dict[str, str]:
    """What a kind needs beside its address."""
    match device:
        case WebPushDevice():
            return _subscription_keys(device)
        case ApnsDevice():
            told = {"environment": device.environment or "production", "bundle_id": device.bundle_id}
        case FcmDevice():
            told = {"address_kind": device.address_kind or "token"}
        case _:
            told = {}
    return {name: value for name, value in told.items() if value is not None}


def _subscription_keys(device: WebPushDevice) -> dict[str, str]:
    """The keys in one spelling, base64url without padding. Missing ones are the journey's to refuse."""
    keys = {}
    if device.p256dh is not None and device.auth is not None:
        try:
            point, secret = parse_keys(device.p256dh, device.auth)
        except BadSubscription as error:
            raise InvalidRequest.field(error.field, error.problem) from None
        keys = {"p256dh": base64url.encode(point), "auth": base64url.encode(secret)}
    elif device.p256dh is not None or device.auth is not None:
        missing = "auth" if device.auth is None else "p256dh"
        raise InvalidRequest.field(missing, "is required: p256dh and auth come together")
    if device.vapid_public_key is not None:
        keys["vapid_public_key"] = _vapid_key(device.vapid_public_key)
    return keys


def _vapid_key(text: str) -> str:
    try:
        point = base64url.decode(text)
        load_public(point)
    except ValueError:
        raise InvalidRequest.field(
            "vapid_public_key", "must be a P-256 point of 65 bytes in base64url, as GET /v1/sdk/config gives it"
        ) from None
    return base64url.encode(point)


def check_endpoint(url: str, settings: Settings) -> None:
    """Refuse at the door what could make us call ourselves or a neighbour (protocols: endpoints come from attackers).

    A name that resolves to a private address is the sender's to refuse, when it connects.

    Raises:
        InvalidRequest: names `address`.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _wrong("must be a URL with a host and a port that is a number") from None
    if not host or port == 0:
        raise _wrong("must have a host")
    if parts.username is not None or parts.password is not None:
        raise _wrong("must not carry a user name or password")
    if not url.isascii() or not url.isprintable() or "\\" in url:
        raise _wrong("must be printable ASCII, everything else percent-encoded")
    if _is_ours(parts, settings) or settings.allow_private_endpoints:
        return
    if parts.scheme.lower() != "https":
        raise _wrong("must begin with https://")
    if _is_private(host.removesuffix(".")):
        raise _wrong("must not be an address in a private network")


def _is_ours(parts: SplitResult, settings: Settings) -> bool:
    ours = {_origin(urlsplit(url)) for url in (settings.endpoint_origin, settings.http_origin)}
    return _origin(parts) in ours


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    scheme = parts.scheme.lower()
    return scheme, parts.hostname, parts.port or (443 if scheme == "https" else 80)


def _is_private(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ipaddress.ip_address(host.partition("%")[0]).is_global
    except ValueError:
        return False


def _wrong(message: str) -> InvalidRequest:
    return InvalidRequest.field("address", message)
