"""What callers send. `null` in an optional field equals leaving it out; an unknown field is a typing mistake.

The comments of fields are for readers of the code; `description`s go into the OpenAPI document.
"""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from clarion.api.fields import (
    CLOCK_END_PATTERN,
    CLOCK_PATTERN,
    HEX_PATTERN,
    ORIGIN_PATTERN,
    Email,
    EventName,
    HttpUrl,
    Instant,
    Link,
    Locale,
    Name,
    Phone,
    PublicId,
    TimeZone,
    Title,
    UserId,
    Word,
    Words,
)
from clarion.model import (
    MAX_CAP_SECONDS,
    MAX_TTL_SECONDS,
    CategoryClass,
    Channel,
    Json,
    LockScreen,
    Permission,
    ReceiptKind,
    Urgency,
)

MAX_BATCH = 1_000
MAX_DEVICES = 10_000
"""That one notification may name; they are all looked up while the caller waits."""
NOT_YET = "Not in this version yet: anything but null is refused."


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what callers send."""


class QuietHoursBody(Body, frozen=True, kw_only=True):
    """When the phone stays silent, by the clock on the receiver's wall."""

    start: Annotated[str, Meta(pattern=CLOCK_PATTERN, examples=["22:00"])]
    end: Annotated[
        str,
        Meta(pattern=CLOCK_END_PATTERN, description="Not quiet any more; before `start`: the next morning."),
    ]
    days: (
        Annotated[
            list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]],
            Meta(min_length=1, max_length=7, description="Those on which it begins; null: every day."),
        ]
        | None
    ) = None


WordingVersion: TypeAlias = Annotated[
    str,
    Meta(min_length=1, max_length=255, description="What you call this version of the words.", examples=["2026-11"]),
]


# --- people ----------------------------------------------------------------------------------------------------------


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


# --- devices ---------------------------------------------------------------------------------------------------------


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


# --- events ----------------------------------------------------------------------------------------------------------


class SdkEventBody(Body, frozen=True, kw_only=True):
    """Something that the caller did or that happened to them. The same `id` counts once."""

    name: EventName
    properties: Json | None = None
    occurred_at: Instant | None = None
    id: Word | None = None


class EventBody(SdkEventBody, frozen=True, kw_only=True):
    """Something that a user did or that happened. The same `id` counts once."""

    user_id: UserId


class EventBatch(Body, frozen=True, kw_only=True):
    """Up to 1,000 events."""

    events: Annotated[list[EventBody], Meta(max_length=MAX_BATCH)]


class SdkEventBatch(Body, frozen=True, kw_only=True):
    """Up to 1,000 events."""

    events: Annotated[list[SdkEventBody], Meta(max_length=MAX_BATCH)]


class ReceiptBody(Body, frozen=True, kw_only=True):
    """What a device tells about a message; `receipt` is the token from its payload."""

    receipt: Annotated[str, Meta(min_length=1, max_length=255)]
    kind: ReceiptKind
    action: Word | None = None
    at: Instant | None = None


class ReceiptBatch(Body, frozen=True, kw_only=True):
    """Up to 1,000 receipts."""

    receipts: Annotated[list[ReceiptBody], Meta(max_length=MAX_BATCH)]


# --- notifications and definitions -----------------------------------------------------------------------------------


class ActionBody(Body, frozen=True, kw_only=True):
    """A button."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    title: Title
    url: Link | None = None
    icon: Link | None = None


class UnlessEventBody(Body, frozen=True, kw_only=True):
    """An event that makes the notification pointless, since it was made or since the event that started it."""

    name: EventName
    where: (
        Annotated[Json, Meta(description="Properties that the event has; texts may be minijinja.", max_length=20)]
        | None
    ) = None


class HoldoutBody(Body, frozen=True, kw_only=True):
    """A control group that gets nothing: the same people for all notifications with this key."""

    key: Word
    percent: Annotated[float, Meta(ge=0, lt=100, description="Of the people; decimals are fine.")]


class MessageBody(Body, frozen=True, kw_only=True):
    """What to say and how: a notification without its audience. Texts are minijinja."""

    category: Name | None = None
    title: Title | None = None
    body: Words | None = None
    template: Name | None = None
    data: Json | None = None
    url: Link | None = None
    icon: Link | None = None
    image: Link | None = None
    badge: Link | None = None
    sound: Word | None = None
    vibrate: Annotated[list[Annotated[int, Meta(ge=0, le=10_000)]], Meta(max_length=100)] | None = None
    lock_screen: LockScreen | None = None
    require_interaction: bool | None = None
    actions: Annotated[list[ActionBody], Meta(max_length=10)] | None = None
    ttl: Annotated[int, Meta(ge=0, le=MAX_TTL_SECONDS, description="Seconds.")] | None = None
    urgency: Urgency | None = None
    collapse_key: Word | None = None
    content_key: Annotated[Word, Meta(description="The same key to the same person is a duplicate.")] | None = None
    content_window: Annotated[int, Meta(ge=1, le=MAX_TTL_SECONDS, description="Seconds that it is one for.")] | None = (
        None
    )
    priority: (
        Annotated[int, Meta(ge=-100, le=100, description="Whose turn is first where a cap lets wait; 0, higher first.")]
        | None
    ) = None
    condition: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=2_000,
                description="A minijinja expression over user, data, event and project; sent only if it is true then.",
                examples=["user.plan != 'gold'"],
            ),
        ]
        | None
    ) = None
    unless_event: UnlessEventBody | None = None
    holdout: HoldoutBody | None = None
    apns: Json | None = None
    fcm: Json | None = None
    webpush: Json | None = None


class LintBody(MessageBody, frozen=True, kw_only=True):
    """A message, or a template with its `locales`, to be looked at. What says to whom and when is not looked at."""

    locale: Annotated[Locale, Meta(description="Of the message's own title and body.")] | None = None
    name: Name | None = None
    default_locale: Locale | None = None
    locales: Annotated[dict[Locale, "ContentBody"], Meta(min_length=1, max_length=200)] | None = None
    to: Any = None
    send_at: Any = None
    dry_run: Any = None
    arm: Any = None


class AudienceBody(Body, frozen=True, kw_only=True):
    """Who: exactly one of them."""

    users: Annotated[list[UserId], Meta(min_length=1)] | None = None
    devices: Annotated[list[PublicId], Meta(min_length=1, max_length=MAX_DEVICES)] | None = None
    everyone: Literal[True] | None = None
    segment: Annotated[Any, Meta(description=NOT_YET)] = None
    topic: Annotated[Any, Meta(description=NOT_YET)] = None


class NotificationBody(MessageBody, frozen=True, kw_only=True):
    """A notification to somebody, now or at `send_at`."""

    to: AudienceBody
    send_at: Instant | None = None
    dry_run: Annotated[bool, Meta(description="Answer the decisions and send nothing.")] | None = None
    local_time: Annotated[Any, Meta(description=NOT_YET)] = None
    arm: (
        Annotated[bool, Meta(description="Prepare everything now, and send it at `POST …/fire`; for seven days.")]
        | None
    ) = None


class CategoryPut(Body, frozen=True, kw_only=True, rename={"class_": "class"}):
    """A kind of message, replaced as a whole."""

    name: Name | None = None
    title: Title | None = None
    description: Words | None = None
    titles: (
        Annotated[dict[Locale, Title], Meta(max_length=200, description="By locale, in place of `title`.")] | None
    ) = None
    descriptions: Annotated[dict[Locale, Words], Meta(max_length=200, description="By locale.")] | None = None
    class_: CategoryClass | None = None
    default: Annotated[bool, Meta(description="Whether silence means yes; null: what the class implies.")] | None = None
    channels: Annotated[list[Channel], Meta(min_length=1, max_length=len(Channel))] | None = None
    quiet_hours: (
        Annotated[
            QuietHoursBody | Literal["none"],
            Meta(description="In place of the project's; \"none\": it passes those. Of one's own it passes none."),
        ]
        | None
    ) = None
    templates: Annotated[list[Name], Meta(description="The only ones that may wear this category.")] | None = None
    keys: (
        Annotated[
            list[Word],
            Meta(
                min_length=1,
                max_length=1_000,
                description="Who alone may send with it: ids or names of server keys, or automation:NAME.",
            ),
        ]
        | None
    ) = None


class CategoryPost(CategoryPut, frozen=True, kw_only=True, rename={"class_": "class"}):
    """A kind of message."""

    name: Name


class ContentBody(Body, frozen=True, kw_only=True):
    """Words in one language; each is minijinja."""

    title: Title
    body: Words | None = None
    url: Link | None = None


class TemplatePut(Body, frozen=True, kw_only=True):
    """Words by locale, replaced as a whole."""

    name: Name | None = None
    default_locale: Locale | None = None
    locales: Annotated[dict[Locale, ContentBody], Meta(min_length=1, max_length=200)]
    warnings: Annotated[Any, Meta(description="As it was read; not looked at.")] = None


class TemplatePost(TemplatePut, frozen=True, kw_only=True):
    """Words by locale; who has none of them gets `default_locale`."""

    name: Name


class EventSelectorBody(Body, frozen=True, kw_only=True):
    """Which events start it."""

    event: EventName


class AutomationPut(Body, frozen=True, kw_only=True):
    """An event becomes a notification to its user; replaced as a whole."""

    name: Name | None = None
    on: EventSelectorBody
    notification: MessageBody
    enabled: bool | None = None


class AutomationPost(AutomationPut, frozen=True, kw_only=True):
    """An event becomes a notification to its user."""

    name: Name


# --- administration --------------------------------------------------------------------------------------------------


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


# --- the device side -------------------------------------------------------------------------------------------------


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
