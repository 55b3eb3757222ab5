"""Devices: one address of one person each."""

from clarion.model.words import DeviceKind, DeviceState, Key, Millis, Permission, Struct


class Registration(Struct, frozen=True, kw_only=True):
    """What a device tells of itself; a full-state replace.

    `address` may only be missing while permission is not given: the record of a browser that said no.
    `installation` is the SDK's own random id of this app or browser profile; it finds the device again when the address
    is gone. `details` holds what its kind needs: for Web Push `p256dh`, `auth`, `vapid_public_key`. `lane` is where its
    messages go, one push service as one credential sees it; `journey.registration` works it out.
    """

    kind: DeviceKind
    address: str | None = None
    permission: Permission = Permission.GRANTED
    locale: str | None = None
    timezone: str | None = None
    app_version: str | None = None
    model: str | None = None
    installation: str | None = None
    previous_address: str | None = None
    details: dict[str, str] = {}
    lane: str = ""


class Device(Struct, frozen=True, kw_only=True):
    """One address of one user."""

    key: Key
    id: str
    project: Key
    user: Key
    user_id: str
    kind: DeviceKind
    address: str | None
    permission: Permission
    state: DeviceState
    state_reason: str | None = None
    locale: str | None = None
    timezone: str | None = None
    app_version: str | None = None
    model: str | None = None
    installation: str | None = None
    details: dict[str, str] = {}
    lane: str = ""  # see `Registration`
    registered_at: Millis  # a refusal older than this proves nothing
    created_at: Millis
    updated_at: Millis
