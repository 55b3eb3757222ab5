"""Registration: a device gets an address. What must hold before it is stored."""

from collections.abc import Collection

import msgspec

from clarion.errors import FieldError, InvalidRequest
from clarion.model import DeviceKind, Registration

_NEEDED = {DeviceKind.WEBPUSH: ("p256dh", "auth")}


def complete(registration: Registration, vapid_keys: Collection[str], current: str) -> Registration:
    """The registration with its defaults, or an error that names every wrong field.

    `vapid_keys` are the project's Web Push keys, `current` the one that new subscriptions use: a subscription is bound
    to the key it was made with (RFC 8292 section 4.2), so the key is stored with it.

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
        if key not in vapid_keys:
            problems.append(
                FieldError("vapid_public_key", "must be a Web Push key of this project (GET /v1/sdk/config)")
            )
        registration = msgspec.structs.replace(registration, details={**registration.details, "vapid_public_key": key})
    if problems:
        raise InvalidRequest("the device is not complete", errors=problems)
    return registration
