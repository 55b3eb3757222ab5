"""The switches that a device shows to its person."""

from typing import Annotated, Literal

from msgspec import Meta

from clarion.api.fields import Name, Words
from clarion.api.schemas.base import Body, WordingVersion
from clarion.model import Channel


class PreferenceBody(Body, frozen=True, kw_only=True):
    """One switch. Without a channel it counts for all channels of the category."""

    category: Name
    channel: Channel | None = None
    granted: bool


class PreferencePut(PreferenceBody, frozen=True, kw_only=True):
    """One switch, with its circumstances."""

    source: Literal["sdk", "sdk_prompt", "sdk_preferences"] | None = None
    wording: Words | None = None
    wording_version: WordingVersion | None = None


class PreferencesPut(Body, frozen=True, kw_only=True):
    """Several switches, with their circumstances."""

    preferences: Annotated[list[PreferenceBody], Meta(min_length=1, max_length=100)]
    source: Literal["sdk", "sdk_prompt", "sdk_preferences"] | None = None
    wording: Words | None = None
    wording_version: WordingVersion | None = None
