"""What sets the way off: an event, or a notification with its message and audience."""

from typing import Literal

from clarion.model.experiments import Experiment, Goal, Winner
from clarion.model.words import (
    DEFAULT_TTL_SECONDS,
    LOCAL_SPREAD_MS,
    Json,
    Key,
    LockScreen,
    Millis,
    Struct,
    UpdateKind,
    Urgency,
)


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


class Variant(Struct, frozen=True, kw_only=True):
    """One wording of a message: what it gives stands in place of the message's own.

    One with a template of its own takes its words from there, and not from the message.
    """

    key: str
    weight: float = 1
    title: str | None = None
    body: str | None = None
    template: str | None = None
    template_version: int | None = None
    url: str | None = None
    icon: str | None = None
    image: str | None = None
    badge: str | None = None
    sound: str | None = None
    actions: list[Action] | None = None


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
    template_version: int | None = None  # None: the newest when it is composed
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
    variants: list[Variant] = []
    experiment: Experiment | None = None
    apns: Json = {}
    fcm: Json = {}
    webpush: Json = {}

    @property
    def goal(self) -> Goal:
        """What counts as success."""
        return self.experiment.goal if self.experiment is not None else Goal()

    @property
    def winner(self) -> Winner | None:
        """When the better variant takes over, if it does."""
        return self.experiment.winner if self.experiment is not None else None


class Audience(Struct, frozen=True, kw_only=True):
    """Who: exactly one of the fields is set."""

    users: list[str] | None = None
    devices: list[str] | None = None
    everyone: bool | None = None
    segment: str | None = None
    topic: str | None = None


class LocalTime(Struct, frozen=True, kw_only=True):
    """A time on each receiver's wall: "HH:MM", or with a day before it "YYYY-MM-DDTHH:MM".

    `passed`: what becomes of people for whom it is over when the notification begins.
    """

    at: str
    passed: Literal["next_day", "at_once", "skip"] = "next_day"


class Update(Struct, frozen=True, kw_only=True):
    """Which earlier notification this one takes the place of, or takes from the screens, wherever that is shown.

    `first`, `first_id`: the one that was no update itself; all updates of it name that one. `renotify`: with a sound.
    """

    kind: UpdateKind
    first: Key
    first_id: str
    renotify: bool = False


class Notification(Struct, frozen=True, kw_only=True):
    """A stored request to notify: the caller's own, or the one that an event made through an automation.

    An armed one is prepared, and sent at its fire, if that comes before `armed_until`. `sent_by`: the id of the key.
    `update`: it changes an earlier one; `updated_by`: the newest that changes this one, or what this one changes.
    `digest_of`: the notifications that it stands for, if it is a digest. `campaign`: the name of the one that it is a
    run of. `rate`: people a second that its audience is cut at. `ends_at`: it expires then at the latest.
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
    digest_of: tuple[Key, ...] = ()
    update: Update | None = None
    updated_by: Key | None = None
    campaign: str | None = None
    local_time: LocalTime | None = None
    rate: int | None = None
    ends_at: Millis | None = None
    paused_at: Millis | None = None

    @property
    def begins_at(self) -> Millis:
        """Nobody gets it before."""
        return self.send_at or self.created_at

    @property
    def is_paused(self) -> bool:
        """Whether nothing of it leaves for now."""
        return self.paused_at is not None and self.cancelled_at is None

    @property
    def first(self) -> Key:
        """The one that stands on the screens: itself, unless it is an update."""
        return self.key if self.update is None else self.update.first

    @property
    def is_armed(self) -> bool:
        """Whether it waits for its fire."""
        return self.armed_until is not None and self.fired_at is None

    @property
    def experiment_key(self) -> str:
        """Under which people are given their variants: the same key, the same variant."""
        named = self.message.experiment.key if self.message.experiment is not None else None
        return named or self.automation or self.id

    @property
    def winner_at(self) -> Millis | None:
        """From when on the better variant takes over, if it does."""
        winner = self.message.winner
        return None if winner is None else (self.send_at or self.created_at) + winner.after * 1000

    @property
    def expires_at(self) -> Millis:
        """TTL counts from the moment it should be sent; what waits for its fire expires with its armed life.

        By local time, this is when it has expired for everybody: see `expires_for`.
        """
        if self.is_armed:
            return self.armed_until or 0
        last = (self.fired_at or self.begins_at) + (LOCAL_SPREAD_MS if self.local_time is not None else 0)
        return self.expires_for(last)

    def expires_for(self, moment: Millis) -> Millis:
        """When it has expired for who should get it at a moment."""
        end = moment + self.message.ttl * 1000
        return end if self.ends_at is None else min(end, self.ends_at)

    @property
    def expires_at_last(self) -> Millis:
        """The latest that a device may show it: armed, it may be fired at the end of its armed life."""
        return self.expires_at + self.message.ttl * 1000 if self.is_armed else self.expires_at
