"""What is stored, one protocol a noun. Every method takes the project first: tenants are isolated by construction."""

from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

from clarion.model import (
    ApiKey,
    Consent,
    Credential,
    DeliveryState,
    Device,
    DeviceKind,
    Event,
    Json,
    Key,
    Millis,
    Notification,
    PersonPreference,
    PreferenceChange,
    Project,
    ProjectSettings,
    Reason,
    Receipt,
    Registration,
    User,
    UserChange,
)

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A slice of a list; `next_cursor` is None at the end."""

    items: list[T]
    next_cursor: str | None = None


class Projects(Protocol):
    """Projects, their keys and credentials. Project and key rows are few and may be cached by callers."""

    async def create(
        self,
        id: str,
        name: str,
        settings: ProjectSettings,
        vapid: Credential,
        now: Millis,
    ) -> Project:
        """A new project with its Web Push key and one category `general` (informational)."""
        ...

    async def get(self, key: Key) -> Project | None: ...
    async def find(self, id: str) -> Project | None: ...
    async def all(self) -> list[Project]: ...
    async def update(self, project: Project) -> None:
        """Replace name, settings and identity key."""
        ...

    async def add_key(self, key: ApiKey, hash: bytes) -> ApiKey: ...
    async def find_key(self, hash: bytes) -> ApiKey | None:
        """By SHA-256 of the key's text; revoked ones too, the caller looks."""
        ...

    async def keys(self, project: Key) -> list[ApiKey]: ...
    async def change_key(self, project: Key, id: str, name: str, scopes: list[str]) -> ApiKey | None:
        """The key with another name and other scopes; None when it is unknown or revoked."""
        ...

    async def revoke_key(self, project: Key, id: str, now: Millis) -> bool: ...
    async def credentials(self, project: Key, kind: DeviceKind) -> list[Credential]: ...
    async def all_credentials(self, project: Key) -> list[Credential]:
        """Of every kind, by name."""
        ...

    async def add_credential(self, credential: Credential) -> bool:
        """False, and nothing changed, when the project has one of that name, whatever its kind."""
        ...

    async def replace_credential(self, credential: Credential, was: bytes | None = None) -> bool:
        """Another secret under the same kind and name; False when there is none, or it is not sealed as `was`."""
        ...

    async def pace(
        self, project: Key, kind: DeviceKind, name: str, messages: int, now: Millis, patience_ms: int
    ) -> Millis:
        """When a chunk may leave under the credential's rate, which all processes share.

        Up to `now + patience_ms` that moment is taken for the chunk; beyond it nothing is, and the caller comes again
        then. Without a rate: `now`.
        """
        ...

    async def delete_credential(self, project: Key, kind: DeviceKind, name: str) -> bool: ...
    async def use_web_push_key(self, project: Key, name: str) -> bool:
        """New subscriptions are made with this one; False when it is not a Web Push credential of the project."""
        ...


class Definitions(Protocol):
    """What a project defines by name: categories, templates, automations. `kind` is the plural of the noun.

    Bodies are the JSON form of the model's struct; the store does not look inside.
    """

    async def add(self, project: Key, kind: str, name: str, body: Json, now: Millis) -> bool:
        """False, and nothing changed, when there is one of that name."""
        ...

    async def put(self, project: Key, kind: str, name: str, body: Json, now: Millis) -> bool:
        """Add or replace; True when it is new."""
        ...

    async def get(self, project: Key, kind: str, name: str) -> Json | None: ...
    async def all(self, project: Key, kind: str) -> list[Json]: ...
    async def page(self, project: Key, kind: str, cursor: str | None, limit: int) -> Page[Json]: ...
    async def delete(self, project: Key, kind: str, name: str) -> bool: ...


class Users(Protocol):
    """People. Public ids in, internal keys out."""

    async def put(self, project: Key, user_id: str, change: UserChange, now: Millis) -> tuple[User, bool]:
        """Create or change; True when created."""
        ...

    async def get(self, project: Key, user_id: str) -> User | None: ...
    async def by_key(self, project: Key, key: Key) -> User | None: ...
    async def resolve(self, project: Key, user_ids: Sequence[str], now: Millis, *, create: bool) -> dict[str, Key]:
        """Public id → key; missing ones are created when `create`, else left out."""
        ...

    async def ids(self, project: Key, keys: Sequence[Key]) -> dict[Key, str]: ...
    async def create_anonymous(self, project: Key, user_id: str, now: Millis) -> User: ...
    async def erase(self, project: Key, user_id: str) -> bool:
        """Everything of the person is gone for good: devices, consents, events, decisions, deliveries, receipts."""
        ...

    async def merge(self, project: Key, anonymous: Key, known: Key, now: Millis) -> None:
        """Devices, events, consents and the trail move to `known`; a refusal of either side stays; `anonymous` ends."""
        ...

    async def successors(self, project: Key, keys: Sequence[Key]) -> dict[Key, Key]:
        """Former key → present key, of those who were merged: work that waits still names who they were."""
        ...

    async def merged_since(self, project: Key, span: tuple[Key, Key], since: Millis) -> dict[Key, Key]:
        """The same for former keys of a span, of those who were merged at or after `since`, within eight days."""
        ...


class Devices(Protocol):
    """Addresses of users."""

    async def register(
        self, project: Key, user: Key, registration: Registration, device_id: str, now: Millis
    ) -> tuple[Device, bool]:
        """Full-state replace; True when new (then it gets `device_id`).

        The same device is found by installation, else by previous_address, else by address; whatever
        user it belonged to, it belongs to `user` now. Registering makes it active again.
        """
        ...

    async def get(self, project: Key, device_id: str) -> Device | None: ...
    async def of_user(self, project: Key, user: Key) -> list[Device]: ...
    async def find(self, project: Key, device_ids: Sequence[str]) -> list[Device]: ...
    async def delete(self, project: Key, device_id: str) -> bool: ...
    async def end_doubts(self, project: Key, kind: DeviceKind, now: Millis) -> int:
        """Quarantined devices of a kind become active: the doubt may have been about us. How many."""
        ...

    async def retry_doubtful(self, before: Millis, now: Millis, limit: int) -> int:
        """Up to `limit` devices that were quarantined `before` that time become active for another try. How many."""
        ...


class Consents(Protocol):
    """The ledger: append-only; the current state is derived."""

    async def append(self, project: Key, lines: Sequence[Consent]) -> None: ...
    async def take_over(self, project: Key, lines: Sequence[Consent]) -> list[bool]:
        """Lines that were told elsewhere, earlier; by line whether it was news.

        One that is no newer than the last word of the ledger about the same is left out: a later no stands.
        """
        ...

    async def of_user(self, project: Key, user: Key) -> list[Consent]:
        """The whole ledger of one person, oldest first."""
        ...


class Preferences(Protocol):
    """What people asked for themselves: quiet hours of their own, a pause of marketing."""

    async def get(self, project: Key, user: Key) -> PersonPreference:
        """Nothing asked when they, or the person, are not there."""
        ...

    async def put(self, project: Key, user: Key, change: PreferenceChange, now: Millis) -> PersonPreference | None:
        """What holds now; of somebody who was merged, as who they are. None, and nothing written: erased."""
        ...


class Ingested(msgspec.Struct, frozen=True):
    """How many events were new and how many were known by their id."""

    accepted: int
    duplicates: int


class Events(Protocol):
    """What happened."""

    async def add(self, project: Key, events: Sequence[Event], watched: frozenset[str], now: Millis) -> list[bool]:
        """Store; per event True when new, False when its id is known.

        In the same transaction, one `EventsWork` for the new events whose name is in `watched`. Concurrent calls
        share a commit. Users that are named for the first time are created.
        """
        ...

    async def load(self, project: Key, keys: Sequence[Key]) -> list[Event]: ...
    async def of_user(self, project: Key, user: Key, limit: int) -> list[Event]:
        """Newest first."""
        ...

    async def forget(self, project: Key, before: Millis) -> int:
        """Delete what happened before, and give its ids free; in parts, each in a transaction of its own. How many."""
        ...


class DecisionRecord(msgspec.Struct, frozen=True):
    """A decision with public ids, as the API shows it. `updates`: the first one, if it is about an update."""

    notification_id: str
    user_id: str
    reason: Reason
    until: Millis | None
    gates: str
    at: Millis
    revision: int
    notification: Key
    updates: Key | None = None
    digest_id: str | None = None  # the notification that it is in
    campaign: str | None = None


class DeliveryRecord(msgspec.Struct, frozen=True):
    """A delivery with public ids, as the API shows it."""

    notification: Key
    notification_id: str
    user_id: str
    device: Key
    device_id: str
    kind: DeviceKind
    state: DeliveryState
    reason: Reason | None
    provider_id: str | None
    attempts: int
    created_at: Millis
    updated_at: Millis


class ReceiptRecord(msgspec.Struct, frozen=True):
    """A receipt as the API shows it."""

    notification: Key
    device: Key
    kind: str
    action: str | None
    at: Millis


class Progress(msgspec.Struct, frozen=True):
    """Counts of one notification. `due_at`: when the first of its jobs is due that still wait or are being done."""

    reasons: dict[str, int]
    deliveries: dict[DeliveryState, int]
    due_at: Millis | None

    @property
    def working(self) -> bool:
        """Whether jobs of it are still waiting."""
        return self.due_at is not None


class Standing(NamedTuple):
    """How far one message came that may stand on a screen: of a notification, or of an update of it."""

    notification: Key
    user: Key
    device: Key
    state: DeliveryState
    reason: Reason | None


class Trail(Protocol):
    """Notifications and what became of them."""

    async def reserve(self, count: int) -> list[Key]:
        """Unused notification keys, in rising order; gaps are fine."""
        ...

    async def notification(self, project: Key, id: str) -> Notification | None: ...
    async def load(self, project: Key, keys: Sequence[Key]) -> dict[Key, Notification]: ...
    async def notifications(self, project: Key, cursor: str | None, limit: int) -> Page[Notification]: ...
    async def cancel(self, project: Key, key: Key, now: Millis) -> bool:
        """Mark as cancelled and its waiting work comes before all other; False when it was cancelled before."""
        ...

    async def fire(self, project: Key, key: Key, now: Millis) -> list[str]:
        """Let an armed notification go, once: its armed jobs are due, and `CatchUpWork` begins.

        The queues that have something to do now; none when it is not armed, over, cancelled or fired.
        """
        ...

    async def holders(self, project: Key, first: Key, newest: Key, after: Key, limit: int) -> list[Key]:
        """People after `after`, in key order, who were to get `first` or an update of it, and not decided for `newest`.

        An update that is stored supersedes all others of the same first one, in the same transaction.
        """
        ...

    async def standings(self, project: Key, first: Key, users: Sequence[Key]) -> list[Standing]:
        """All messages of `first` and its updates to these people."""
        ...

    async def progress(self, project: Key, key: Key) -> Progress: ...
    async def decisions(
        self,
        project: Key,
        *,
        notification: Key | None,
        user: Key | None,
        reason: Reason | None,
        cursor: str | None,
        limit: int,
    ) -> Page[DecisionRecord]:
        """Of one notification in user order, or of one user newest first."""
        ...

    async def deliveries(
        self,
        project: Key,
        *,
        notification: Key | None,
        user: Key | None,
        state: DeliveryState | None,
        cursor: str | None,
        limit: int,
    ) -> Page[DeliveryRecord]:
        """Newest notification first."""
        ...

    async def add_receipts(self, receipts: Sequence[Receipt], now: Millis) -> list[bool]:
        """Store and move the deliveries forward; True when new. Of a delivery that is gone: False."""
        ...

    async def receipts_of_user(self, project: Key, user: Key, limit: int) -> list[ReceiptRecord]: ...


class SavedAnswer(msgspec.Struct, frozen=True):
    """What an idempotent request was answered; `status` 0 while it is in progress."""

    request_hash: bytes
    status: int
    body: bytes


class Idempotency(Protocol):
    """Idempotency-Key: one answer per key and project, kept for a day."""

    async def begin(self, project: Key, key: str, request_hash: bytes, now: Millis) -> SavedAnswer | None:
        """None: it is ours to do. Otherwise what is known. Left in progress for 60 s (a crash), it is ours again."""
        ...

    async def finish(self, project: Key, key: str, status: int, body: bytes) -> None: ...
    async def abandon(self, project: Key, key: str) -> None:
        """The request failed in a way that a retry may mend: forget it."""
        ...
