"""The queue: what must still be done, leased and fenced, and what one step of it wants written."""

from collections.abc import Sequence
from operator import attrgetter
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
    """Composed messages of one lane, in one batch. Consents newer than `decided_at` are asked for again."""

    kind: DeviceKind
    decided_at: Millis
    messages: list[Ready]
    lane: str = ""


Job: TypeAlias = EventsWork | AudienceWork | SpanWork | PairsWork | DeliverWork


DELIVERIES = "deliver."
"""What the names of all queues of deliveries begin with."""
LATE_MS = 2_000
"""How late a first attempt may be: with a TTL of 0 a message expires at birth, and that attempt is its only chance."""

_expiry = attrgetter("expires_at")


def queue_of(job: Job, project: Key) -> str:
    """The queue a job waits in. Deliveries have one for each lane, so that a slow service holds back only its own."""
    match job:
        case EventsWork():
            return "trigger"
        case AudienceWork():
            return "audience"
        case SpanWork() | PairsWork():
            return "decide"
        case DeliverWork():
            return lane_queue(job.kind, project, job.lane)


def lane_queue(kind: DeviceKind, project: Key, lane: str) -> str:
    """The queue of a lane; with an empty lane, what the queues of all lanes of this kind and project begin with."""
    return f"{DELIVERIES}{kind}.{project}.{lane}"


def family_of(queue: str) -> str:
    """The queue without project and lane, `deliver.<kind>`: a bounded number of names, for metrics and logs."""
    return ".".join(queue.split(".", 2)[:2])


def owner_of(queue: str) -> Key | None:
    """The project whose deliveries are in a queue; None for the queues that all projects share."""
    return int(queue.split(".", 3)[2]) if queue.startswith(DELIVERIES) else None


def size_of(job: Job) -> int:
    """How many messages a job holds; 1 for what is none."""
    return len(job.messages) if isinstance(job, DeliverWork) else 1


def ends_of(job: Job) -> Millis | None:
    """When the first of its messages has expired, whatever happens; None for a job without messages."""
    return min(map(_expiry, job.messages)) + LATE_MS + 1 if isinstance(job, DeliverWork) and job.messages else None


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

    async def release(self, lease: Lease, due_at: Millis, *, counts: bool = True) -> None:
        """Give a job back undone, to be tried at `due_at`; `counts`: whether that was an attempt."""
        ...

    async def waiting(self) -> dict[str, Millis]:
        """Every queue that holds a job, with when its earliest is due (a leased one: when its lease runs out).

        One cheap read, however many jobs wait: workers ask it once a second.
        """
        ...

    async def postpone(self, queue: str, until: Millis) -> None:
        """The jobs of a queue that nobody holds and that are due before `until` become due then.

        A job with a message that expires before comes at that moment: somebody is to say so (`ends_of`).
        """
        ...

    async def hasten(self, prefix: str, now: Millis, until: Millis) -> None:
        """The reverse, for all queues whose names begin so: jobs that nobody holds, due up to `until`, are due now.

        What is due later waits for something else than its push service and is left as it is.
        """
        ...

    async def backlog(self) -> dict[str, int]:
        """Jobs waiting by queue, for the bound past which callers get 429."""
        ...
