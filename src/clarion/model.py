"""The nouns of the story: frozen, without I/O, the same in every room of the house.

Times are integer milliseconds since the epoch in UTC (`Millis`). Keys (`Key`) are the integers that the store gives;
public ids are text and live at the edge.
"""

from enum import IntEnum, StrEnum
from hashlib import blake2b
from typing import Any, Literal, TypeAlias

import msgspec

Millis: TypeAlias = int
Key: TypeAlias = int
Json: TypeAlias = dict[str, Any]

DAY_MS = 86_400_000
ARMED_LIFE_MS = 7 * DAY_MS
"""How long what was prepared waits for its fire."""
DEFAULT_TTL_SECONDS = 3 * 86_400
MAX_TTL_SECONDS = 30 * 86_400
MAX_CAP_SECONDS = 60 * 86_400
AUTOMATION_SENDER = "automation:"
"""How a category's list of keys names an automation: this and its name."""


class DeviceKind(StrEnum):
    """What kind of address a device is."""

    APNS = "apns"
    FCM = "fcm"
    WEBPUSH = "webpush"
    EMAIL = "email"
    SMS = "sms"
    INBOX = "inbox"


class Channel(StrEnum):
    """The ways that a person can say yes or no to, per category."""

    PUSH = "push"
    EMAIL = "email"
    SMS = "sms"
    INBOX = "inbox"


CHANNEL_OF_KIND = {
    DeviceKind.APNS: Channel.PUSH,
    DeviceKind.FCM: Channel.PUSH,
    DeviceKind.WEBPUSH: Channel.PUSH,
    DeviceKind.EMAIL: Channel.EMAIL,
    DeviceKind.SMS: Channel.SMS,
    DeviceKind.INBOX: Channel.INBOX,
}


class Permission(StrEnum):
    """What the operating system or browser answered."""

    DEFAULT = "default"
    GRANTED = "granted"
    PROVISIONAL = "provisional"
    DENIED = "denied"


class DeviceState(StrEnum):
    """Whether we send to a device. Retired on proof, quarantined on doubt; registering again makes it active."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"
    RETIRED = "retired"


class CategoryClass(StrEnum):
    """How a category is treated: always, unless refused, only when wanted."""

    MANDATORY = "mandatory"
    INFORMATIONAL = "informational"
    MARKETING = "marketing"


class Verdict(StrEnum):
    """The three ways a decision can go."""

    SEND = "send"
    HOLD = "hold"
    DROP = "drop"


class Reason(StrEnum):
    """Why: the one list of reason codes for decisions and deliveries."""

    SEND = "send"
    # hold
    QUIET_HOURS = "quiet_hours"
    BEST_TIME = "best_time"
    CAP_WAIT = "cap_wait"
    SCHEDULE = "schedule"
    PROVIDER_DOWN = "provider_down"
    DIGEST = "digest"
    # drop
    NO_PERMISSION = "no_permission"
    NO_CONSENT = "no_consent"
    OPTED_OUT = "opted_out"
    NO_DEVICE = "no_device"
    CAP_REACHED = "cap_reached"
    DUPLICATE = "duplicate"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    HOLDOUT = "holdout"
    NOT_IN_SEGMENT = "not_in_segment"
    IRRELEVANT = "irrelevant"
    CATEGORY_MISMATCH = "category_mismatch"
    TEMPLATE_ERROR = "template_error"
    TOO_LARGE = "too_large"
    # a delivery that failed
    DEVICE_GONE = "device_gone"
    BAD_CREDENTIALS = "bad_credentials"
    REJECTED = "rejected"
    PROVIDER_ERROR = "provider_error"


HOLD_REASONS = frozenset(
    {
        Reason.QUIET_HOURS,
        Reason.BEST_TIME,
        Reason.CAP_WAIT,
        Reason.SCHEDULE,
        Reason.PROVIDER_DOWN,
        Reason.DIGEST,
    }
)


def verdict_of(reason: Reason) -> Verdict:
    """The verdict that a decision's reason implies."""
    if reason is Reason.SEND:
        return Verdict.SEND
    return Verdict.HOLD if reason in HOLD_REASONS else Verdict.DROP


class DeliveryState(IntEnum):
    """How far one message to one device came. The order is the progress: a state never goes back.

    `FAILED` and `EXPIRED` stand low, so that a receipt from the device, which is proof, overrules them.
    """

    QUEUED = 0
    FAILED = 1
    EXPIRED = 2
    SENT = 3
    ACCEPTED = 4
    DELIVERED = 5
    DISPLAYED = 6
    DISMISSED = 7
    CLICKED = 8


class ReceiptKind(StrEnum):
    """What a device tells about a delivery."""

    DELIVERED = "delivered"
    DISPLAYED = "displayed"
    CLICKED = "clicked"
    DISMISSED = "dismissed"


STATE_OF_RECEIPT = {
    ReceiptKind.DELIVERED: DeliveryState.DELIVERED,
    ReceiptKind.DISPLAYED: DeliveryState.DISPLAYED,
    ReceiptKind.DISMISSED: DeliveryState.DISMISSED,
    ReceiptKind.CLICKED: DeliveryState.CLICKED,
}


class Urgency(StrEnum):
    """RFC 8030 section 5.3, the least first."""

    VERY_LOW = "very-low"
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"

    @property
    def and_above(self) -> tuple["Urgency", ...]:
        """Itself and all that are more urgent."""
        every = tuple(Urgency)
        return every[every.index(self) :]


class LockScreen(StrEnum):
    """What a locked screen may show."""

    SHOW = "show"
    HIDE_CONTENT = "hide_content"
    HIDE = "hide"


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the nouns: immutable, keyword-only, unknown fields are typing mistakes."""


# --- a project and what it defines -----------------------------------------------------------------------------------


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


class Category(Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """A named kind of message."""

    name: str
    title: str = ""
    description: str = ""
    titles: dict[str, str] = {}  # by locale, where they differ from `title`
    descriptions: dict[str, str] = {}
    class_: CategoryClass = CategoryClass.INFORMATIONAL
    default: bool | None = None  # None: what the class implies
    channels: list[Channel] = msgspec.field(default_factory=lambda: list(Channel))
    quiet_hours: QuietHours | Literal["none"] | None = None  # None: the project's; "none": it passes those
    templates: list[str] | None = None  # the only templates that may wear this category
    keys: list[str] | None = None  # and who may send with it: ids of server keys, `automation:NAME`


class Content(Struct, frozen=True, kw_only=True):
    """Words of a template in one language; each is minijinja source."""

    title: str
    body: str = ""
    url: str | None = None


class Template(Struct, frozen=True, kw_only=True):
    """Content by locale with a fallback chain: exact, language, `default_locale`."""

    name: str
    default_locale: str = "en"
    locales: dict[str, Content]


class EventSelector(Struct, frozen=True, kw_only=True):
    """Which events start an automation."""

    event: str


class Automation(Struct, frozen=True, kw_only=True):
    """The simplest automation: an event becomes a notification to the user of the event."""

    name: str
    on: EventSelector
    notification: "Message"
    enabled: bool = True


# --- people and their devices ----------------------------------------------------------------------------------------


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


# --- triggers --------------------------------------------------------------------------------------------------------


class Event(Struct, frozen=True, kw_only=True):
    """Something that a user did or that happened. `key` is None until stored."""

    user_id: str
    name: str
    properties: Json = {}
    occurred_at: Millis
    id: str | None = None
    key: Key | None = None
    user: Key | None = None


class Action(Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A button on a notification. Devices read it too: an older agent must not fail on what a newer server adds."""

    id: str
    title: str
    url: str | None = None
    icon: str | None = None


class Holdout(Struct, frozen=True, kw_only=True):
    """A control group: `percent` of the people, the same ones for all messages with this `key`."""

    key: str
    percent: float


class UnlessEvent(Struct, frozen=True, kw_only=True):
    """An event that makes a notification pointless; `where`: properties that it has, texts may be minijinja."""

    name: str
    where: Json | None = None


class Message(Struct, frozen=True, kw_only=True):
    """What to say and how: a notification without its audience. Texts are minijinja source."""

    category: str = "general"
    title: str | None = None
    body: str | None = None
    template: str | None = None
    data: Json = {}
    url: str | None = None
    icon: str | None = None
    image: str | None = None
    badge: str | None = None
    sound: str | None = None
    vibrate: list[int] | None = None
    lock_screen: LockScreen = LockScreen.SHOW
    require_interaction: bool = False
    actions: list[Action] = []
    ttl: int = DEFAULT_TTL_SECONDS
    urgency: Urgency = Urgency.NORMAL
    collapse_key: str | None = None
    content_key: str | None = None  # the same key to the same person within content_window seconds is a duplicate
    content_window: int = 86_400
    priority: int = 0  # who gets a free place under a cap first: higher before lower
    condition: str | None = None  # a minijinja expression, looked at when it is sent
    unless_event: UnlessEvent | None = None
    holdout: Holdout | None = None
    apns: Json = {}
    fcm: Json = {}
    webpush: Json = {}


class Audience(Struct, frozen=True, kw_only=True):
    """Who: exactly one of the fields is set."""

    users: list[str] | None = None
    devices: list[str] | None = None
    everyone: bool | None = None


class Notification(Struct, frozen=True, kw_only=True):
    """A stored request to notify: the caller's own, or the one that an event made through an automation.

    An armed one is prepared, and sent at its fire, if that comes before `armed_until`. `sent_by`: the id of the key.
    """

    key: Key
    id: str
    project: Key
    message: Message
    to: Audience
    created_at: Millis
    send_at: Millis | None = None
    cancelled_at: Millis | None = None
    automation: str | None = None
    event: Key | None = None
    armed_until: Millis | None = None
    fired_at: Millis | None = None
    sent_by: str | None = None

    @property
    def is_armed(self) -> bool:
        """Whether it waits for its fire."""
        return self.armed_until is not None and self.fired_at is None

    @property
    def expires_at(self) -> Millis:
        """TTL counts from the moment it should be sent; what waits for its fire expires with its armed life."""
        if self.is_armed:
            return self.armed_until or 0
        return (self.fired_at or self.send_at or self.created_at) + self.message.ttl * 1000

    @property
    def expires_at_last(self) -> Millis:
        """The latest that a device may show it: armed, it may be fired at the end of its armed life."""
        return self.expires_at + self.message.ttl * 1000 if self.is_armed else self.expires_at


# --- decisions and deliveries ----------------------------------------------------------------------------------------


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What became of one candidate. `gates` is compact JSON text: `[["gate", verdict, input], …]` in order."""

    notification: Key
    user: Key
    reason: Reason
    until: Millis | None
    gates: str
    at: Millis


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One message to one device, newly queued."""

    notification: Key
    user: Key
    device: Key
    kind: DeviceKind


def delivery_id(notification_id: str, device: Key) -> bytes:
    """The 128-bit id of one message to one device: the same however often it is sent again."""
    return blake2b(f"{notification_id}:{device}".encode(), digest_size=16).digest()


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one delivery in one attempt; `state` QUEUED means that it is tried again."""

    notification: Key
    user: Key
    device: Key
    state: DeliveryState
    reason: Reason | None
    provider_id: str | None
    attempts: int


class DeviceVerdict(msgspec.Struct, frozen=True, gc=False):
    """A provider's word about an address; it counts only if the device did not register after `sent_at`."""

    device: Key
    state: DeviceState
    reason: str
    sent_at: Millis


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What a device told, after its token was verified."""

    project: Key
    notification: Key
    user: Key
    device: Key
    kind: ReceiptKind
    action: str | None
    at: Millis
