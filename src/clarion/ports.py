"""What the story needs from the world: small protocols, one a noun. Adapters below implement them, fakes too.

Every method takes the project first (tenants are isolated by construction) and works on batches.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeAlias, TypeVar

import msgspec

from clarion.model import (
    ApiKey,
    Channel,
    Consent,
    Credential,
    Decision,
    Delivery,
    DeliveryState,
    Device,
    DeviceKind,
    DeviceVerdict,
    Event,
    Json,
    Key,
    Millis,
    Notification,
    Outcome,
    Permission,
    Project,
    ProjectSettings,
    Reason,
    Receipt,
    Registration,
    Urgency,
    User,
    UserChange,
)

T = TypeVar("T")

# --- time and chance -------------------------------------------------------------------------------------------------


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> Millis:
        """Milliseconds since the epoch, UTC."""
        ...


class Chance(Protocol):
    """The only source of randomness."""

    def token(self, size: int) -> bytes:
        """`size` random bytes, fit for secrets."""
        ...


# --- work: what must still be done, leased and fenced -----------------------------------------------------------------


class EventsWork(msgspec.Struct, frozen=True, tag="events"):
    """Stored events that may start automations."""

    events: list[Key]


class AudienceWork(msgspec.Struct, frozen=True, tag="audience"):
    """A notification whose audience is still to be cut into batches; `cursor` is where the last step stopped."""

    notification: Key
    cursor: int = 0


class SpanWork(msgspec.Struct, frozen=True, tag="span"):
    """Candidates: one notification for all users of the project with first ≤ key ≤ last."""

    notification: Key
    first: Key
    last: Key


class PairsWork(msgspec.Struct, frozen=True, tag="pairs"):
    """Candidates one by one: (notification, user), unique, sorted by user."""

    pairs: list[tuple[Key, Key]]
    held: bool = False  # decided before as a hold: the record is revised, not written anew


class Ready(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A composed message to one device, ready to hand to a provider. `id` is the delivery's id, 16 bytes.

    `headers` are those that the caller chose for this kind of service, if any.
    """

    notification: Key
    user: Key
    device: Key
    id: bytes
    payload: bytes
    category: str
    expires_at: Millis
    urgency: str
    collapse_key: str | None
    attempts: int = 0
    headers: dict[str, str] | None = None


class DeliverWork(msgspec.Struct, frozen=True, tag="deliver"):
    """Composed messages of one kind, in one batch. Consents newer than `decided_at` are asked for again."""

    kind: DeviceKind
    decided_at: Millis
    messages: list[Ready]


Job: TypeAlias = EventsWork | AudienceWork | SpanWork | PairsWork | DeliverWork


def queue_of(job: Job) -> str:
    """The queue a job waits in. Each kind of device has its own, so that a slow provider holds back only its own."""
    match job:
        case EventsWork():
            return "trigger"
        case AudienceWork():
            return "audience"
        case SpanWork() | PairsWork():
            return "decide"
        case DeliverWork():
            return f"deliver.{job.kind}"


class NewWork(msgspec.Struct, frozen=True):
    """A job to be stored; `notification` when all of it belongs to one, so that its progress can be told."""

    project: Key
    job: Job
    due_at: Millis
    notification: Key | None = None
    attempts: int = 0


class Lease(msgspec.Struct, frozen=True):
    """A job that is ours until `until`. `token` fences: writing under a lost lease writes nothing."""

    key: Key
    token: int
    project: Key
    job: Job
    notification: Key | None
    attempts: int
    until: Millis


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """All that one step wants written: in one transaction, or not at all.

    A notification whose (project, id) is known is left as it is, and so is all work here that names its key.
    `revised` are decisions that replace an earlier hold. `sent_content` are (user, content hash) reservations.
    """

    notifications: Sequence[Notification] = ()
    decisions: Sequence[Decision] = ()
    revised: Sequence[Decision] = ()
    deliveries: Sequence[Delivery] = ()
    outcomes: Sequence[Outcome] = ()
    device_verdicts: Sequence[DeviceVerdict] = ()
    sent_content: Sequence[tuple[Key, int]] = ()
    work: Sequence[NewWork] = ()


class Work(Protocol):
    """The queue. At least once: a lease that runs out comes back to somebody else."""

    async def claim(self, queue: str, limit: int, now: Millis, lease_ms: int) -> list[Lease]:
        """Up to `limit` due jobs, oldest first, not leased or with a lease that ran out; now leased to the caller."""
        ...

    async def renew(self, leases: Sequence[Lease], until: Millis) -> None:
        """Hold leases longer while a slow batch is still being sent."""
        ...

    async def release(self, lease: Lease, due_at: Millis) -> None:
        """Give a job back undone, to be tried at `due_at`; counts an attempt."""
        ...

    async def next_due(self, queues: Sequence[str]) -> Millis | None:
        """When the earliest waiting job is due, so that a worker knows how long it may sleep."""
        ...

    async def backlog(self) -> dict[str, int]:
        """Jobs waiting by queue, for metrics and the bound past which callers get 429."""
        ...


# --- facts: what deciding needs to know, loaded a batch at a time ----------------------------------------------------


class Target(msgspec.Struct, frozen=True, gc=False):
    """An active device as deciding and composing see it."""

    key: Key
    kind: DeviceKind
    permission: Permission
    locale: str | None


class Recipient(msgspec.Struct, frozen=True):
    """One user with what matters for this decision. `attributes` is raw JSON, parsed only when a text needs it.

    `consents` maps (category, channel) to the last word of the ledger; no entry means that nothing was said.
    """

    key: Key
    user_id: str
    locale: str | None
    timezone: str | None
    attributes: str | bytes
    targets: list[Target]
    consents: dict[tuple[str, str], bool]


class Facts(msgspec.Struct, frozen=True):
    """`recipients` in key order; users that do not exist any more are missing. `sent_content`: (user, hash) → at."""

    recipients: list[Recipient]
    sent_content: dict[tuple[Key, int], Millis]


class FactsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which users and what about them: a span of keys, or named keys (sorted, unique)."""

    span: tuple[Key, Key] | None = None
    users: Sequence[Key] | None = None
    categories: Sequence[str] = ()
    content: Sequence[int] = ()  # content hashes whose earlier use matters


class Deciding(Protocol):
    """An open transaction that holds the users of a batch, so that two workers can never both pass a count."""

    facts: Facts

    async def commit(self, lease: Lease, effects: Effects) -> bool:
        """Write and finish the lease; False (and nothing written) when it was lost."""
        ...


class Address(msgspec.Struct, frozen=True, gc=False):
    """Where and with which keys a message is sent. `details` is the raw JSON of `Device.details`."""

    device: Key
    user: Key
    kind: DeviceKind
    address: str
    details: str | bytes


class Steps(Protocol):
    """What the workers' steps read and write."""

    async def facts(self, project: Key, query: FactsQuery) -> Facts:
        """The facts without a lock: for dry runs and explanations."""
        ...

    def deciding(self, project: Key, query: FactsQuery) -> AbstractAsyncContextManager[Deciding]:
        """Lock the users in key order and load the facts; leaving without commit writes nothing."""
        ...

    async def commit(self, effects: Effects, lease: Lease | None = None) -> bool:
        """Write all, and finish the lease if given; False (and nothing written) when the lease was lost."""
        ...

    async def addresses(self, project: Key, devices: Sequence[Key]) -> dict[Key, Address]:
        """Active devices with permission; who is missing may not be sent to any more."""
        ...

    async def refused_since(
        self, project: Key, users: Sequence[Key], since: Millis
    ) -> dict[tuple[Key, str, str], bool]:
        """(user, category, channel) → granted, for ledger lines at or after `since`; the last word."""
        ...

    async def user_span(self, project: Key, after: Key, size: int, limit: int) -> list[tuple[Key, Key]]:
        """Up to `limit` spans of `size` user keys each, beyond `after`, covering all users in key order."""
        ...


# --- nouns -----------------------------------------------------------------------------------------------------------


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


class Consents(Protocol):
    """The ledger: append-only; the current state is derived."""

    async def append(self, project: Key, lines: Sequence[Consent]) -> None: ...
    async def of_user(self, project: Key, user: Key) -> list[Consent]:
        """The whole ledger of one person, oldest first."""
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


class DecisionRecord(msgspec.Struct, frozen=True):
    """A decision with public ids, as the API shows it."""

    notification_id: str
    user_id: str
    reason: Reason
    until: Millis | None
    gates: str
    at: Millis
    revision: int


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
    """Counts of one notification. `working`: jobs of it are still waiting."""

    reasons: dict[str, int]
    deliveries: dict[DeliveryState, int]
    working: bool


class Trail(Protocol):
    """Notifications and what became of them."""

    async def reserve(self, count: int) -> list[Key]:
        """Unused notification keys, in rising order; gaps are fine."""
        ...

    async def notification(self, project: Key, id: str) -> Notification | None: ...
    async def load(self, project: Key, keys: Sequence[Key]) -> dict[Key, Notification]: ...
    async def notifications(self, project: Key, cursor: str | None, limit: int) -> Page[Notification]: ...
    async def cancel(self, project: Key, key: Key, now: Millis) -> bool:
        """Mark as cancelled and make its waiting work due at once; False when it was cancelled before."""
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


# --- our push service's own rows: they belong to devices, not to projects ---------------------------------------------


class PushChannel(msgspec.Struct, frozen=True):
    """A subscription of a push-service device. `device` is its row, `node` the gateway node that holds its socket.

    `app` is what a browser that speaks GCM calls it.
    """

    key: Key
    device: Key
    channel_id: str
    vapid: str | None
    node: str | None
    app: str | None = None


class PushMessage(msgspec.Struct, frozen=True):
    """An encrypted message for a channel. `source` makes accepting it again a no-op: our own sender's delivery id.

    `key` is None until stored, then unique for ever: the wire's `version` comes from it, topic replacements included.
    `app` is the channel's.
    """

    channel: Key
    device: Key
    channel_id: str
    data: bytes
    headers: dict[str, str]  # encoding, encryption, crypto_key
    expires_at: Millis
    topic: str | None = None
    urgency: str = "normal"
    source: bytes | None = None
    sent_at: Millis = 0
    key: Key | None = None
    app: str | None = None


class PushStore(Protocol):
    """Devices, channels and stored messages of our push service."""

    async def hello(self, uaid: str, node: str, now: Millis) -> Key | None:
        """The device's key when the uaid is known; notes the node that holds it now."""
        ...

    async def enrol(self, uaid: str, node: str, now: Millis) -> Key:
        """`hello` of a device that is one, known or not: it gets a row."""
        ...

    async def gone(self, device: Key, node: str) -> None:
        """The socket closed; only if `node` still holds it."""
        ...

    async def register(
        self, uaid: str, channel_id: str, vapid: str | None, node: str | None, now: Millis, app: str | None = None
    ) -> Key:
        """Add the channel, and the device at its first one; returns the device's key. Idempotent.

        `node`: None when this says nothing about who holds the socket.
        """
        ...

    async def unregister(self, device: Key, channel_id: str) -> bool: ...
    async def forget(self, device: Key) -> None:
        """The device with all its channels and messages."""
        ...

    async def channels(self, pairs: Sequence[tuple[str, str]]) -> list[PushChannel | None]:
        """By (uaid, channel id), in order."""
        ...

    async def known_devices(self, uaids: Sequence[str]) -> set[str]:
        """Which uaids exist: to tell 105 (user gone) from 106 (channel gone)."""
        ...

    async def add(self, messages: Sequence[PushMessage], now: Millis) -> list[Key | None]:
        """Durable before it returns; keys in order. None: its `source` was accepted before.

        A message replaces a waiting one of the same channel and topic. Concurrent calls share a commit.
        """
        ...

    async def waiting(
        self, device: Key, after: Key, limit: int, now: Millis, least: Urgency = Urgency.VERY_LOW
    ) -> list[PushMessage]:
        """Unexpired, unacknowledged and at least so urgent: topic messages first, then by key; keys beyond `after`."""
        ...

    async def acknowledge(self, own: Sequence[tuple[Key, Key]]) -> None:
        """Delete messages, each named by its device and its key: no device can speak for another.

        Those with a `source` leave it behind until they would have expired, so that it counts once.
        """
        ...

    async def delete(self, key: Key, channel: Key) -> bool: ...
    async def sweep(self, now: Millis) -> int:
        """Remove what has expired, and nodes that ended without a word; how many messages."""
        ...

    async def beat(self, node: str, now: Millis) -> None:
        """This node lives: what the store says of the devices that it holds is true."""
        ...

    async def ended(self, node: str) -> None:
        """This node holds no devices any more."""
        ...

    async def connected(self, uaids: Sequence[str], since: Millis) -> set[str]:
        """Those whose socket is held by a node that gave a sign of life at `since` or later."""
        ...

    async def set_broadcast(self, id: str, version: str, now: Millis) -> None: ...
    async def broadcasts(self) -> dict[str, str]:
        """Version by id, of all."""
        ...


class Store(Protocol):
    """All nouns of one database."""

    @property
    def projects(self) -> Projects: ...
    @property
    def definitions(self) -> Definitions: ...
    @property
    def users(self) -> Users: ...
    @property
    def devices(self) -> Devices: ...
    @property
    def consents(self) -> Consents: ...
    @property
    def events(self) -> Events: ...
    @property
    def trail(self) -> Trail: ...
    @property
    def work(self) -> Work: ...
    @property
    def steps(self) -> Steps: ...
    @property
    def idempotency(self) -> Idempotency: ...
    @property
    def push(self) -> PushStore: ...
    async def open(self) -> None:
        """Connect and migrate; on SQLite also void the leases of the process before us."""
        ...

    async def close(self) -> None: ...
    async def ping(self) -> None:
        """Raises Unavailable when the database cannot be written."""
        ...


# --- the outside -----------------------------------------------------------------------------------------------------


class PushService(Protocol):
    """Our own push service, as others in the house see it. Every process may ask, whoever holds the sockets."""

    async def presence(self, addresses: Sequence[str | None]) -> list[bool | None]:
        """Whether the device behind each Web Push address is connected now; None when it is not one of ours."""
        ...

    async def broadcasts(self) -> dict[str, str]:
        """Version by id, of all."""
        ...

    async def set_broadcast(self, id: str, version: str) -> None:
        """Durable when it returns; every device that asked for it is told."""
        ...


class Limiter(Protocol):
    """A brake against floods: buckets by name, which anybody may drain and time fills again."""

    def take(self, name: tuple[str, str], cost: float = 1) -> None:
        """Raises RateLimited, with the seconds to wait, when the bucket of that name is empty."""
        ...


class Bus(Protocol):
    """A wake-up between processes; may lose messages, the database is the truth.

    A subscriber gets an empty payload when messages to it may have been lost: it looks for itself.
    """

    async def publish(self, topic: str, payload: bytes = b"") -> None: ...
    def subscribe(self, topic: str, handler: Callable[[bytes], Awaitable[None]]) -> Callable[[], None]:
        """Call `handler` for each message of `topic`; returns what ends the subscription."""
        ...

    async def open(self) -> None: ...
    async def close(self) -> None: ...


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """One request of a batch. `id`, a delivery's id, lets a transport that can tell a repetition recognise it."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    id: bytes | None = None


class HttpResponse(msgspec.Struct, frozen=True, gc=False):
    """`status` 0 means that no answer came; `error` says why. Header names are lower case.

    `unknown`: the request may have been processed although no answer came. With a status, `error` says that the rest
    of the answer is missing.
    """

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""
    error: str | None = None
    unknown: bool = False


class Transport(Protocol):
    """Carries a batch of requests to other services; answers in order; never raises for a single request."""

    async def send(self, requests: Sequence[HttpRequest]) -> list[HttpResponse]: ...
    async def close(self) -> None: ...


class BatchRequest(msgspec.Struct, frozen=True, gc=False):
    """What one request of a batch does not share with the others. `path` with its query; header names in lower case."""

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class HttpBatch(msgspec.Struct, frozen=True):
    """POST requests to one origin (`https://host[:port]`). `headers`, in lower case, go with every one of them.

    A plain success is answered with those of its headers that `wants_headers` names, and mostly there are none: reading
    them costs more than the request. Anything else has all its headers.
    """

    origin: str
    headers: tuple[tuple[str, str], ...]
    requests: Sequence[BatchRequest]
    wants_headers: frozenset[str] = frozenset()


class BatchTransport(Protocol):
    """Carries many small requests to one origin; answers in order; never raises for a single request."""

    async def send_batch(self, batch: HttpBatch) -> list[HttpResponse]: ...
    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """A certificate by which we are known in the TLS handshake, with its key; both in PEM."""

    certificate: bytes
    private_key: bytes = field(repr=False)


class Senders(Protocol):
    """The transports to all origins, made when they are first asked for."""

    def to(
        self, origin: str, *, sender: str = "", identity: ClientIdentity | None = None, cautious: bool = False
    ) -> BatchTransport:
        """The one for an origin; each sender and each identity has connections of its own.

        `cautious`: one stream a connection until the first success. Raises ValueError for a useless identity.
        """
        ...

    async def close(self) -> None: ...


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One message for a provider."""

    ready: Ready
    address: Address


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The service took it; `provider_id` is its own name for it."""

    provider_id: str | None = None


class Gone(msgspec.Struct, frozen=True, gc=False):
    """Proof that the address is dead. `since`: when it died, if the service says."""

    detail: str = ""
    since: Millis | None = None


class Quarantined(msgspec.Struct, frozen=True, gc=False):
    """The address is refused in a way that a new registration may mend."""

    detail: str = ""


class RetryAfter(msgspec.Struct, frozen=True, gc=False):
    """Try again; `seconds` if the service says how long to wait. `unknown`: it may have arrived."""

    seconds: float | None = None
    detail: str = ""
    unknown: bool = False


class TooLarge(msgspec.Struct, frozen=True, gc=False):
    """The payload is over the service's limit."""

    detail: str = ""


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """This message is refused for good; the address may be fine."""

    detail: str = ""


class BadCredentials(msgspec.Struct, frozen=True, gc=False):
    """Our keys are refused: nothing of this provider can go out until they are mended."""

    detail: str = ""


ProviderOutcome: TypeAlias = Accepted | Gone | Quarantined | RetryAfter | TooLarge | Rejected | BadCredentials


class Provider(Protocol):
    """Speaks to one kind of push service. Never sleeps, retries or touches storage; never raises for one message."""

    kind: DeviceKind
    channel: Channel

    async def send(self, batch: Sequence[Outgoing], secrets: Mapping[str, bytes], now: Millis) -> list[ProviderOutcome]:
        """Outcomes in order. `secrets` are the project's unsealed credentials of this kind by name."""
        ...

    async def check(self, secret: bytes, now: Millis) -> BadCredentials | RetryAfter | None:
        """Ask the service whether it takes this credential, with nothing shown anywhere; None: it does."""
        ...
