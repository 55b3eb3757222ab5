"""A message, and a notification: a message with its audience."""

from typing import Annotated, Literal

from msgspec import Meta

from clarion.api.fields import (
    EventName,
    Instant,
    Link,
    LocalClock,
    Name,
    Passed,
    PublicId,
    Title,
    TopicName,
    UserId,
    Word,
    Words,
)
from clarion.api.schemas.actions import ActionBody
from clarion.api.schemas.base import Body
from clarion.api.schemas.experiments import ExperimentBody, VariantBody
from clarion.model import MAX_TTL_SECONDS, Json, LockScreen, Urgency

MAX_DEVICES = 10_000
"""That one notification may name; they are all looked up while the caller waits."""


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
    template_version: (
        Annotated[int, Meta(ge=1, description="Null: the newest when it is composed.", examples=[3])] | None
    ) = None
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
    variants: (
        Annotated[
            list[VariantBody],
            Meta(max_length=10, description="The same message in two or more wordings, to be compared."),
        ]
        | None
    ) = None
    experiment: ExperimentBody | None = None
    apns: Json | None = None
    fcm: Json | None = None
    webpush: Json | None = None


class ReplaceBody(Body, frozen=True, kw_only=True):
    """What is new about a notification that was sent; what is not given, or null, stays as it was at first."""

    title: Title | None = None
    body: Words | None = None
    template: Name | None = None
    template_version: Annotated[int, Meta(ge=1)] | None = None
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
    ttl: Annotated[int, Meta(ge=0, le=MAX_TTL_SECONDS, description="Seconds from now.")] | None = None
    urgency: Urgency | None = None
    apns: Json | None = None
    fcm: Json | None = None
    webpush: Json | None = None
    renotify: Annotated[bool, Meta(description="Make a sound again; else the words change silently.")] | None = None


class AudienceBody(Body, frozen=True, kw_only=True):
    """Who: exactly one of them."""

    users: Annotated[list[UserId], Meta(min_length=1)] | None = None
    devices: Annotated[list[PublicId], Meta(min_length=1, max_length=MAX_DEVICES)] | None = None
    everyone: Literal[True] | None = None
    segment: Annotated[Name, Meta(description="Who is in it when it is sent.")] | None = None
    topic: Annotated[TopicName, Meta(description="Its subscribers, and those of the topics below it.")] | None = None


class NotificationBody(MessageBody, frozen=True, kw_only=True):
    """A notification to somebody, now or at `send_at`."""

    to: AudienceBody
    send_at: Instant | None = None
    dry_run: Annotated[bool, Meta(description="Answer the decisions and send nothing.")] | None = None
    local_time: LocalClock | None = None
    local_time_passed: Passed | None = None
    arm: (
        Annotated[bool, Meta(description="Prepare everything now, and send it at `POST …/fire`; for seven days.")]
        | None
    ) = None
