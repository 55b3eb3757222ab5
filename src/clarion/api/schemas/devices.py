"""Devices: one shape for each kind, told apart by `kind`."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from clarion.api.fields import HEX_PATTERN, Email, HttpUrl, Locale, Phone, TimeZone, UserId, Word
from clarion.api.schemas.base import Body
from clarion.model import Permission


class DeviceBody(Body, frozen=True, kw_only=True, tag_field="kind"):
    """Base of all kinds. A device without an address is one whose person did not (yet) give permission."""

    user_id: Annotated[UserId, Meta(description="Whose device. With a server key only, and there required.")] | None = (
        None
    )
    permission: Permission | None = None
    locale: Locale | None = None
    timezone: TimeZone | None = None
    app_version: Word | None = None
    model: Word | None = None
    installation: Annotated[Word, Meta(description="The app's own random id of this installation.")] | None = None
    previous_address: (
        Annotated[str, Meta(min_length=1, max_length=4_096, description="Rotation: the id and the history stay.")]
        | None
    ) = None


class ApnsDevice(DeviceBody, frozen=True, kw_only=True, tag="apns"):
    """An Apple device token."""

    address: (
        Annotated[str, Meta(min_length=32, max_length=400, pattern=HEX_PATTERN, description="The token.")] | None
    ) = None
    environment: Literal["production", "sandbox"] | None = None
    bundle_id: Word | None = None


class FcmDevice(DeviceBody, frozen=True, kw_only=True, tag="fcm"):
    """An FCM registration token, or the id of a Firebase installation."""

    address: Annotated[str, Meta(min_length=1, max_length=4_096)] | None = None
    address_kind: Literal["token", "fid"] | None = None


class WebPushDevice(DeviceBody, frozen=True, kw_only=True, tag="webpush"):
    """A Web Push subscription: `address` is its endpoint, the keys are base64url."""

    address: HttpUrl | None = None
    p256dh: Annotated[str, Meta(max_length=200)] | None = None
    auth: Annotated[str, Meta(max_length=100)] | None = None
    vapid_public_key: (
        Annotated[str, Meta(max_length=200, description="The key it was subscribed with; default: the project's.")]
        | None
    ) = None


class EmailDevice(DeviceBody, frozen=True, kw_only=True, tag="email"):
    """An e-mail address."""

    address: Email | None = None


class SmsDevice(DeviceBody, frozen=True, kw_only=True, tag="sms"):
    """A phone number."""

    address: Phone | None = None


AnyDevice: TypeAlias = ApnsDevice | FcmDevice | WebPushDevice | EmailDevice | SmsDevice
