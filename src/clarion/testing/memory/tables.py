"""The rows of the memory store: plain dicts by key, as a database would hold them."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from clarion.errors import InvalidRequest
from clarion.model import (
    ApiKey,
    CampaignRecord,
    Consent,
    Credential,
    Decision,
    Delivery,
    DeliveryState,
    Device,
    DeviceKind,
    Event,
    Json,
    Key,
    Millis,
    Notification,
    PersonPreference,
    Project,
    Reason,
    Receipt,
    Run,
    User,
)
from clarion.ports import (
    Chosen,
    Collected,
    Dimension,
    Job,
    Loss,
    LossAlert,
    LossCount,
    Page,
    Place,
    PushChannel,
    PushMessage,
    RosterKind,
    SavedAnswer,
    Slot,
    Stoppage,
)

T = TypeVar("T")
K = TypeVar("K")


@dataclass(slots=True)
class DecisionRow:
    """The decision that stands and how often it was revised."""

    decision: Decision
    revision: int = 0


@dataclass(slots=True)
class DeliveryRow:
    """A delivery and how far it came."""

    delivery: Delivery
    created_at: Millis
    updated_at: Millis
    state: DeliveryState = DeliveryState.QUEUED
    reason: Reason | None = None
    provider_id: str | None = None
    attempts: int = 0


@dataclass(slots=True)
class JobRow:
    """A job that waits or is leased; `token` changes with every lease and release."""

    key: Key
    project: Key
    job: Job
    notification: Key | None
    due_at: Millis
    attempts: int
    token: int = 0
    leased_until: Millis | None = None
    ends_at: Millis | None = None  # it is not put off beyond that


@dataclass(slots=True)
class AnswerRow:
    """An idempotent request and, when it is done, its answer."""

    answer: SavedAnswer
    begun_at: Millis


@dataclass(slots=True)
class PushDeviceRow:
    """A device of our push service and the node that holds its socket."""

    key: Key
    uaid: str
    node: str | None


@dataclass(slots=True)
class Tables:
    """Everything that is stored. One counter makes all keys, so that a key of one noun never fits another by luck."""

    now: Callable[[], Millis]
    keys: Iterator[Key] = field(default_factory=lambda: itertools.count(1))
    projects: dict[Key, Project] = field(default_factory=dict)
    api_keys: dict[bytes, ApiKey] = field(default_factory=dict)
    credentials: dict[tuple[Key, DeviceKind, str], Credential] = field(default_factory=dict)
    paced_until: dict[tuple[Key, DeviceKind, str], int] = field(default_factory=dict)  # microseconds
    stoppages: dict[Place, Stoppage] = field(default_factory=dict)
    losses: dict[tuple[Key, Loss], None] = field(default_factory=dict)
    loss_counts: dict[tuple[Key, Dimension, Millis, str], LossCount] = field(default_factory=dict)
    loss_alerts: dict[tuple[Key, Dimension, str], LossAlert] = field(default_factory=dict)
    definitions: dict[tuple[Key, str, str], Json] = field(default_factory=dict)
    users: dict[Key, User] = field(default_factory=dict)
    buckets: dict[Key, int] = field(default_factory=dict)  # see `model.segments.bucket_of`
    rosters: dict[tuple[Key, RosterKind, str], set[Key]] = field(default_factory=dict)  # by project, kind and name
    successors: dict[tuple[Key, Key], Key] = field(default_factory=dict)
    departed: list[tuple[Key, Key, Key | None, Millis]] = field(default_factory=list)  # project, user, successor, at
    user_keys: dict[tuple[Key, str], Key] = field(default_factory=dict)
    devices: dict[Key, Device] = field(default_factory=dict)
    removed: list[tuple[Device, Millis]] = field(default_factory=list)  # taken away, or by somebody else, and when
    device_ids: dict[Key, str] = field(default_factory=dict)  # of deleted ones too: the trail still names them
    consents: list[Consent] = field(default_factory=list)
    preferences: dict[Key, tuple[PersonPreference, Millis]] = field(default_factory=dict)  # with the last change
    events: dict[Key, tuple[Key, Event]] = field(default_factory=dict)  # with the project
    event_ids: dict[tuple[Key, str], Key] = field(default_factory=dict)
    notifications: dict[Key, Notification] = field(default_factory=dict)
    notification_keys: dict[tuple[Key, str], Key] = field(default_factory=dict)
    decisions: dict[tuple[Key, Key], DecisionRow] = field(default_factory=dict)  # by notification and user
    deliveries: dict[tuple[Key, Key, Key], DeliveryRow] = field(default_factory=dict)  # … user and device
    receipts: dict[tuple[Any, ...], Receipt] = field(default_factory=dict)
    winners: dict[tuple[Key, Key], Chosen] = field(default_factory=dict)  # by project and notification
    sent_content: dict[tuple[Key, int], Millis] = field(default_factory=dict)
    collected: dict[tuple[Key, Key], tuple[Collected, Key | None]] = field(default_factory=dict)  # and its digest
    slots: dict[tuple[Key, Key], Slot] = field(default_factory=dict)  # by user and notification
    runs: dict[Key, tuple[Key, Run]] = field(default_factory=dict)  # with the project
    jobs: dict[Key, JobRow] = field(default_factory=dict)
    campaigns: dict[tuple[Key, str], CampaignRecord] = field(default_factory=dict)
    answers: dict[tuple[Key, str], AnswerRow] = field(default_factory=dict)
    push_devices: dict[Key, PushDeviceRow] = field(default_factory=dict)
    push_channels: dict[tuple[Key, str], PushChannel] = field(default_factory=dict)
    push_messages: dict[Key, PushMessage] = field(default_factory=dict)
    push_nodes: dict[str, Millis] = field(default_factory=dict)  # when they last gave a sign of life
    push_broadcasts: dict[str, str] = field(default_factory=dict)
    push_sources: dict[bytes, Millis] = field(default_factory=dict)  # accepted before, until when it matters

    def user(self, project: Key, key: Key) -> User | None:
        """The user, if it is one of the project."""
        user = self.users.get(key)
        return user if user is not None and user.project == project else None

    def project_of(self, notification: Key) -> Key | None:
        """The project that a notification belongs to."""
        found = self.notifications.get(notification)
        return found.project if found else None


def drop(table: dict[K, T], gone: Callable[[K, T], bool]) -> int:
    """Delete the rows of which `gone` is true; how many."""
    keys = [key for key, row in table.items() if gone(key, row)]
    for key in keys:
        del table[key]
    return len(keys)


def stored(value: T, type: type[T]) -> T:
    """A copy as it would come back from a database: shared with nobody, and an error if it is not JSON."""
    return msgspec.json.decode(msgspec.json.encode(value), type=type)


def page(items: list[T], cursor: str | None, limit: int) -> Page[T]:
    """The slice after `cursor`, which is how many items came before. Lists here do not change while a test pages."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit()):
        raise InvalidRequest.field("cursor", "takes the next_cursor of the page before")
    start = int(cursor or 0)
    more = start + limit < len(items)
    return Page(items[start : start + limit], str(start + limit) if more else None)
