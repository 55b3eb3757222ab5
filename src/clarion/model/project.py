"""A project: one app, its rules, its keys and its credentials."""

from typing import Literal

from clarion.model.words import CategoryClass, Channel, DeviceKind, Key, Millis, Struct


class Rolling(Struct, frozen=True, kw_only=True):
    """A window that ends now, in seconds."""

    seconds: int


class Cap(Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """At most `limit` notifications to one person in a window: rolling, or the person's own calendar day or week.

    It counts those of a class, a category, a channel, or all; never mandatory ones. A week begins on Monday.
    """

    name: str
    limit: int
    per: Literal["day", "week"] | Rolling
    class_: CategoryClass | None = None
    category: str | None = None
    channel: Channel | None = None
    at_cap: Literal["drop", "wait"] = "drop"


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class QuietHours(Struct, frozen=True, kw_only=True):
    """When the phone stays silent, by the clock on the receiver's wall: from `start` until before `end`.

    `start` is "HH:MM", `end` too or "24:00"; an earlier `end` is on the next morning. `days` ("mon" … "sun") are those
    on which it begins, None: every day.
    """

    start: str
    end: str
    days: tuple[str, ...] | None = None


class ProjectSettings(Struct, frozen=True, kw_only=True):
    """What a project may set about itself (`GET/PUT /v1/project`)."""

    allowed_origins: list[str] = []
    identity: str = "none"
    default_timezone: str = "UTC"
    marketing_consent: str = "opt_in"
    allow_plain_users: bool = False
    mandatory_can_be_switched_off: bool = False
    caps: list[Cap] = []
    lint: dict[str, str] = {}  # rule of intelligence.honesty → "off" | "warn" | "block"; others warn
    quiet_hours: QuietHours | None = None
    quiet_hours_spread_s: int = 900  # what was held comes back over so many seconds
    missing_zone: Literal["default", "hold_quiet"] = "default"
    event_days: int | None = None  # how long events are kept; None: for ever
    holdout_percent: float = 0.0  # of the people, who get nothing but mandatory messages


class Project(Struct, frozen=True, kw_only=True):
    """One app: its keys, credentials, people and data.

    `identity_key` verifies signed user tokens: sealed HS256 secret, or the text of an ES256 public key.
    """

    key: Key
    id: str
    name: str
    settings: ProjectSettings
    vapid_public_key: str
    identity_key: bytes | None
    created_at: Millis


class ApiKey(Struct, frozen=True, kw_only=True):
    """A key as stored: only the hash of its 256 bits, shown in full once at creation."""

    key: Key
    id: str
    project: Key
    kind: str  # "server" | "public"
    name: str
    scopes: list[str]
    hint: str  # the last four characters, so that people can tell keys apart
    created_at: Millis
    revoked_at: Millis | None = None

    def may(self, scope: str) -> bool:
        """Whether it has a scope; `*` is all of them."""
        return "*" in self.scopes or scope in self.scopes


class Credential(Struct, frozen=True, kw_only=True):
    """A provider's secret of one project, sealed. For Web Push: `name` is the public VAPID key in base64url.

    `rate`: messages a second that may go out with it, if that is bounded.
    """

    project: Key
    kind: DeviceKind
    name: str
    sealed: bytes
    created_at: Millis
    rate: int | None = None
