"""People: who they are, what they agreed to and what they asked for."""

import msgspec

from clarion.model.project import QuietHours
from clarion.model.words import Channel, Json, Key, Millis, Struct


class User(Struct, frozen=True, kw_only=True):
    """A person, by the caller's own id."""

    key: Key
    project: Key
    user_id: str
    attributes: Json = {}
    locale: str | None = None
    timezone: str | None = None
    email: str | None = None
    phone: str | None = None
    anonymous: bool = False
    created_at: Millis
    updated_at: Millis


class UserChange(Struct, frozen=True, kw_only=True):
    """`PUT /v1/users/{id}`: fields that are UNSET stay; attributes are merged key by key, null removes."""

    attributes: Json | msgspec.UnsetType = msgspec.UNSET
    locale: str | msgspec.UnsetType | None = msgspec.UNSET
    timezone: str | msgspec.UnsetType | None = msgspec.UNSET
    email: str | msgspec.UnsetType | None = msgspec.UNSET
    phone: str | msgspec.UnsetType | None = msgspec.UNSET


class Consent(Struct, frozen=True, kw_only=True):
    """A line of the ledger, written `at`.

    `wording` are the words that were agreed to, `wording_version` what their author calls that version of them.
    `said_at`: when it was said, if that was elsewhere and earlier.
    """

    user: Key
    category: str
    channel: Channel
    granted: bool
    source: str
    wording: str | None = None
    wording_version: str | None = None
    said_at: Millis | None = None
    at: Millis


class PersonPreference(Struct, frozen=True, kw_only=True):
    """What a person asked of us beside the ledger of consents: nothing, as long as they said nothing."""

    quiet_hours: QuietHours | None = None
    marketing_paused_until: Millis | None = None


class PreferenceChange(Struct, frozen=True, kw_only=True):
    """Fields that are UNSET stay; None takes back what was asked."""

    quiet_hours: QuietHours | msgspec.UnsetType | None = msgspec.UNSET
    marketing_paused_until: Millis | msgspec.UnsetType | None = msgspec.UNSET
