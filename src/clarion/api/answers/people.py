"""People, their devices and what they said."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from clarion.api.answers.base import Answer, Listing
from clarion.api.fields import Told, told, told_or_none
from clarion.journey.permission import Preference, current
from clarion.model import (
    CategoryClass,
    Channel,
    Consent,
    Device,
    DeviceKind,
    DeviceState,
    Json,
    Permission,
    PersonPreference,
    QuietHours,
    User,
)


class UserAnswer(Answer, frozen=True, kw_only=True):
    """A person."""

    user_id: str
    attributes: Json
    locale: str | None
    timezone: str | None
    email: str | None
    phone: str | None
    anonymous: bool
    created_at: Told
    updated_at: Told

    @classmethod
    def of(cls, user: User) -> "UserAnswer":
        """As the API shows it."""
        return cls(
            user_id=user.user_id,
            attributes=user.attributes,
            locale=user.locale,
            timezone=user.timezone,
            email=user.email,
            phone=user.phone,
            anonymous=user.anonymous,
            created_at=told(user.created_at),
            updated_at=told(user.updated_at),
        )


SHOWN_DETAILS = ("environment", "bundle_id", "address_kind", "p256dh", "vapid_public_key")


class DeviceAnswer(Answer, frozen=True, kw_only=True):
    """One address of one user. What belongs to its kind alone is left out for the others; `auth` is never shown."""

    id: str
    user_id: str
    kind: DeviceKind
    address: str | None
    permission: Permission
    state: DeviceState
    state_reason: str | None
    locale: str | None
    timezone: str | None
    app_version: str | None
    model: str | None
    installation: str | None
    environment: str | UnsetType = UNSET
    bundle_id: str | UnsetType = UNSET
    address_kind: str | UnsetType = UNSET
    p256dh: str | UnsetType = UNSET
    vapid_public_key: str | UnsetType = UNSET
    connected: Annotated[
        bool | UnsetType | None,
        Meta(description="Whether it is connected to our push service now; null where another service would know."),
    ] = UNSET
    created_at: Told
    updated_at: Told
    user_token: Annotated[
        str | UnsetType, Meta(description="The secret of a new anonymous user: `Clarion-User` from now on.")
    ] = UNSET

    @classmethod
    def of(
        cls, device: Device, user_token: str | None = None, connected: bool | UnsetType | None = UNSET
    ) -> "DeviceAnswer":
        """As the API shows it."""
        return cls(
            id=device.id,
            user_id=device.user_id,
            kind=device.kind,
            address=device.address,
            permission=device.permission,
            state=device.state,
            state_reason=device.state_reason,
            locale=device.locale,
            timezone=device.timezone,
            app_version=device.app_version,
            model=device.model,
            installation=device.installation,
            connected=connected,
            created_at=told(device.created_at),
            updated_at=told(device.updated_at),
            user_token=user_token or UNSET,
            **{name: value for name, value in device.details.items() if name in SHOWN_DETAILS},
        )


class ConsentLine(Answer, frozen=True, kw_only=True):
    """A line of the ledger."""

    category: str
    channel: Channel
    granted: bool
    source: str
    wording: str | None
    wording_version: str | None
    said_at: Annotated[Told | None, Meta(description="When it was said, if that was elsewhere and earlier.")]
    at: Told

    @classmethod
    def of(cls, line: Consent) -> "ConsentLine":
        """As the API shows it."""
        return cls(
            category=line.category,
            channel=line.channel,
            granted=line.granted,
            source=line.source,
            wording=line.wording,
            wording_version=line.wording_version,
            said_at=told_or_none(line.said_at),
            at=told(line.at),
        )


class PreferencesLink(Answer, frozen=True, kw_only=True):
    """Where a person sees and changes what they get, without a login."""

    url: str
    expires_at: Told


class ConsentWord(Answer, frozen=True, kw_only=True):
    """The last word on a category and channel."""

    category: str
    channel: Channel
    granted: bool


class ConsentAnswer(Answer, frozen=True, kw_only=True):
    """What a person said last, and all they ever said, oldest first."""

    user_id: str
    current: list[ConsentWord]
    ledger: list[ConsentLine]

    @classmethod
    def of(cls, user_id: str, ledger: list[Consent]) -> "ConsentAnswer":
        """As the API shows it."""
        words = [
            ConsentWord(category=category, channel=Channel(channel), granted=granted)
            for (category, channel), granted in current(ledger).items()
        ]
        return cls(user_id=user_id, current=words, ledger=[ConsentLine.of(line) for line in ledger])


class OwnPreferences(Answer, frozen=True, kw_only=True):
    """What a person asked for themselves, beside consents."""

    quiet_hours: QuietHours | None
    marketing_paused_until: Told | None

    @classmethod
    def of(cls, asked: PersonPreference) -> "OwnPreferences":
        """As the API shows it."""
        return cls(
            quiet_hours=asked.quiet_hours,
            marketing_paused_until=told_or_none(asked.marketing_paused_until),
        )


class PreferenceAnswer(Answer, frozen=True, kw_only=True, rename={"class_": "class"}):
    """A category as its receiver sees it."""

    category: str
    title: str
    description: str
    class_: CategoryClass
    locked: bool
    channels: dict[str, bool]

    @classmethod
    def of(cls, preference: Preference) -> "PreferenceAnswer":
        """As the API shows it."""
        return cls(**{name: getattr(preference, name) for name in preference.__struct_fields__})


class Switch(Answer, frozen=True, kw_only=True):
    """One category by one channel; a locked one cannot be switched off."""

    category: str
    channel: str
    granted: bool
    locked: bool


class PreferencesAnswer(Answer, frozen=True, kw_only=True):
    """What is on and off for the caller: by category, and the same switch by switch."""

    categories: list[PreferenceAnswer]
    preferences: list[Switch]

    @classmethod
    def of(cls, shown: Sequence[Preference]) -> "PreferencesAnswer":
        """As the API shows it."""
        switches = [
            Switch(category=one.category, channel=channel, granted=granted, locked=one.locked)
            for one in shown
            for channel, granted in one.channels.items()
        ]
        return cls(categories=[PreferenceAnswer.of(one) for one in shown], preferences=switches)


class DeviceList(Listing, frozen=True, kw_only=True):
    """Devices of a user."""

    items: list[DeviceAnswer]
