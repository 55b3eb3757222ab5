"""The project, its keys and its broadcasts."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from clarion.api.fields import ORIGIN_PATTERN, Name, TimeZone, Word
from clarion.api.schemas.base import Body, QuietHoursBody
from clarion.model import MAX_CAP_SECONDS, CategoryClass, Channel


class RollingBody(Body, frozen=True, kw_only=True):
    """A window that ends now."""

    seconds: Annotated[int, Meta(ge=1, le=MAX_CAP_SECONDS)]


class CapBody(Body, frozen=True, kw_only=True, rename={"class_": "class"}):
    """At most `limit` notifications to one person in a window; mandatory ones are never counted."""

    name: Name
    limit: Annotated[int, Meta(ge=1, le=10_000)]
    per: Annotated[
        Literal["day", "week"] | RollingBody,
        Meta(description="The person's own calendar day or week (from Monday), or a rolling window."),
    ]
    class_: Annotated[CategoryClass, Meta(description="Counts this class only.")] | None = None
    category: Annotated[Name, Meta(description="Counts this category only.")] | None = None
    channel: Annotated[Channel, Meta(description="Counts this channel only.")] | None = None
    at_cap: (
        Annotated[
            Literal["drop", "wait"], Meta(description="What becomes of one too many: `cap_reached`, or `cap_wait`.")
        ]
        | None
    ) = None


class ProjectPut(Body, frozen=True, kw_only=True):
    """What is given is replaced."""

    name: Word | None = None
    allowed_origins: (
        Annotated[list[Annotated[str, Meta(max_length=255, pattern=ORIGIN_PATTERN)]], Meta(max_length=100)] | None
    ) = None
    identity: Literal["none", "token"] | None = None
    identity_secret: (
        Annotated[
            str,
            Meta(
                max_length=4_096, description="HS256: 32 bytes or more. ES256: a P-256 public key in PEM. Never shown."
            ),
        ]
        | None
    ) = None
    default_timezone: TimeZone | None = None
    marketing_consent: Literal["opt_in", "opt_out"] | None = None
    allow_plain_users: bool | None = None
    mandatory_can_be_switched_off: bool | None = None
    caps: Annotated[list[CapBody], Meta(max_length=50, description="All of them; an empty list is none.")] | None = None
    lint: (
        Annotated[
            dict[Word, Literal["off", "warn", "block"]],
            Meta(description="What each rule of title honesty does; those that are not named warn."),
        ]
        | None
    ) = None
    quiet_hours: (
        Annotated[QuietHoursBody, Meta(description="For everybody, in their own time zone; null: none.")]
        | UnsetType
        | None
    ) = UNSET
    quiet_hours_spread_s: (
        Annotated[int, Meta(ge=0, le=14_400, description="What was held comes back over so many seconds.")] | None
    ) = None
    missing_zone: (
        Annotated[
            Literal["default", "hold_quiet"],
            Meta(description="Of people whose zone nobody knows: in default_timezone, or quiet if it is somewhere."),
        ]
        | None
    ) = None
    event_days: (
        Annotated[int, Meta(ge=1, le=36_500, description="How long events are kept; null: for ever.")]
        | UnsetType
        | None
    ) = UNSET
    holdout_percent: (
        Annotated[
            float, Meta(ge=0, le=50, description="Of the people, who get nothing but mandatory messages; 0: nobody.")
        ]
        | None
    ) = None


class KeyPut(Body, frozen=True, kw_only=True):
    """What is given is replaced."""

    name: Word | None = None
    scopes: (
        Annotated[
            list[Literal["*", "read", "send", "write", "admin"]],
            Meta(min_length=1, max_length=5, description="Of a server key; new ones have all of the calling key's."),
        ]
        | None
    ) = None


class KeyPost(KeyPut, frozen=True, kw_only=True):
    """A new key; its text is in the answer and never shown again."""

    kind: Literal["server", "public"] = "server"


class BroadcastPut(Body, frozen=True, kw_only=True):
    """Devices are told when it differs from what they have."""

    version: Word
