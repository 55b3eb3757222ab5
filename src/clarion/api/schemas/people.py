"""People: what is known of them, what they agreed to, what they ask for."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from clarion.api.fields import Email, Instant, Locale, Name, Phone, TimeZone, UserId, Word, Words
from clarion.api.schemas.base import MAX_BATCH, Body, QuietHoursBody, WordingVersion
from clarion.model import Channel, Json


class UserPut(Body, frozen=True, kw_only=True):
    """What is given is replaced; `attributes` are merged key by key, and null removes a key.

    For locale, timezone, email and phone null removes what is known.
    """

    attributes: Json | None = None
    locale: Locale | UnsetType | None = UNSET
    timezone: TimeZone | UnsetType | None = UNSET
    email: Email | UnsetType | None = UNSET
    phone: Phone | UnsetType | None = UNSET


class OwnPreferencesPut(Body, frozen=True, kw_only=True):
    """What is given is replaced, null takes it back."""

    quiet_hours: QuietHoursBody | UnsetType | None = UNSET
    marketing_paused_until: (
        Annotated[Instant, Meta(description="Nothing of a marketing category is sent before.")] | UnsetType | None
    ) = UNSET


class ConsentPut(Body, frozen=True, kw_only=True):
    """A yes or no, with its circumstances. Without a channel it counts for all channels of the category."""

    category: Name
    channel: Channel | None = None
    granted: bool
    source: Annotated[Word, Meta(description="Where it was said.", examples=["checkout form"])]
    wording: Annotated[Words, Meta(description="The words that were agreed to.")] | None = None
    wording_version: WordingVersion | None = None


class ConsentImport(Body, frozen=True, kw_only=True):
    """A yes or no that was given elsewhere. Without a channel it counts for all channels of the category."""

    user_id: UserId
    category: Name
    channel: Channel | None = None
    granted: bool
    source: Annotated[Word, Meta(description="Where it was said; null: `import`.")] | None = None
    wording: Annotated[Words, Meta(description="The words that were agreed to.")] | None = None
    wording_version: WordingVersion | None = None
    at: Annotated[Instant, Meta(description="When it was said; null: now.")] | None = None


class ConsentImports(Body, frozen=True, kw_only=True):
    """What many people said elsewhere."""

    consents: Annotated[list[ConsentImport], Meta(min_length=1, max_length=MAX_BATCH)]
