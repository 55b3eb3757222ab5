"""The queue: what must still be done, leased and fenced, and what one step of it wants written."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec

from clarion.model import Decision, Delivery, DeviceKind, DeviceVerdict, Key, Millis, Notification, Outcome


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
    """Composed messages of one kind, in one batch. Consents newer than `decided_at` are asked for again.

    `arm`: they are prepared only, and wait as `ArmedWork` for the fire of their notification.
    """

    kind: DeviceKind
    decided_at: Millis
    messages: list[Ready]
    arm: bool = False


class ArmedWork(msgspec.Struct, frozen=True, tag="armed"):
    """Messages of one notification that can be handed to a provider as they are: due when it is fired.

    Columns: the n-th message is the n-th of each list, so that a thousand of them are read at once. `bodies` are what
    `Provider.prepare` made, `details` the devices' own, a single one where all have the same. `attempts` counts those
    since the fire. Stored, it is due at once when its notification is fired or cancelled by then.
    """

    kind: DeviceKind
    notification: Key
    armed_at: Millis
    category: str
    urgency: str
    collapse_key: str | None
    headers: dict[str, str] | None
    users: list[Key]
    devices: list[Key]
    ids: list[bytes]
    addresses: list[str]
    details: list[str]
    bodies: list[bytes]
    attempts: int = 0


class CatchUpWork(msgspec.Struct, frozen=True, tag="catch_up"):
    """A notification was fired: whoever changed while it was armed is decided anew."""

    notification: Key


Job: TypeAlias = EventsWork | AudienceWork | SpanWork | PairsWork | DeliverWork | ArmedWork | CatchUpWork


def queue_of(job: Job) -> str:
    """The queue a job waits in. Each kind of device has its own, so that a slow provider holds back only its own."""
    match job:
        case EventsWork():
            return "trigger"
        case AudienceWork() | CatchUpWork():
            return "audience"
        case SpanWork() | PairsWork():
            return "decide"
        case DeliverWork() | ArmedWork():
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


class Sent(msgspec.Struct, frozen=True):
    """Messages of one notification that a service took at their first attempt, after the last look at `at`. Columns."""

    notification: Key
    kind: DeviceKind
    users: Sequence[Key]
    devices: Sequence[Key]
    provider_ids: Sequence[str | None] | None
    at: Millis


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """All that one step wants written: in one transaction, or not at all.

    A notification whose (project, id) is known is left as it is, and so is all work here that names its key.
    `revised` are decisions that replace an earlier one. `sent_content` are (user, content hash) reservations. `sent`
    are deliveries that begin with their outcome; who was erased since has none, who was merged has it as who they are.
    """

    notifications: Sequence[Notification] = ()
    decisions: Sequence[Decision] = ()
    revised: Sequence[Decision] = ()
    deliveries: Sequence[Delivery] = ()
    outcomes: Sequence[Outcome] = ()
    sent: Sequence[Sent] = ()
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
