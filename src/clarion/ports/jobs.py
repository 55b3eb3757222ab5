"""Jobs: what is still to be done, as the queue holds it, and which queue that is."""

from collections.abc import Iterable
from operator import attrgetter, itemgetter
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec

from clarion.model import DeviceKind, Json, Key, Millis


class EventsWork(msgspec.Struct, frozen=True, tag="events"):
    """Stored events that may start automations."""

    events: list[Key]


class AudienceWork(msgspec.Struct, frozen=True, tag="audience"):
    """A notification whose audience is still to be cut into batches; `cursor` is where the last step stopped.

    `again`: of an update, that something was under way to those before, which is looked at once more.
    """

    notification: Key
    cursor: int = 0
    again: bool = False


class SpanWork(msgspec.Struct, frozen=True, tag="span"):
    """Candidates: one notification for all users of the project with first ≤ key ≤ last."""

    notification: Key
    first: Key
    last: Key


class PairsWork(msgspec.Struct, frozen=True, tag="pairs"):
    """Candidates one by one: (notification, user), unique, sorted by user.

    `collected`: they wait for a digest. Who is not collected any more was decided with others.
    """

    pairs: list[tuple[Key, Key]]
    held: bool = False  # decided before as a hold: the record is revised, not written anew
    collected: bool = False


class Ready(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A composed message to one device, ready to hand to a provider. `id` is the delivery's id, 16 bytes.

    `headers` are those that the caller chose for this kind of service, if any. `place`: of an update, the id of the
    delivery whose place it takes on the device; `quietly`: it disturbs nobody there.
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
    place: bytes | None = None
    quietly: bool = False


class DeliverWork(msgspec.Struct, frozen=True, tag="deliver"):
    """Composed messages of one lane, in one batch. Consents newer than `decided_at` are asked for again.

    `arm`: they are prepared only, and wait as `ArmedWork` for the fire of their notification. From `quiet_from` on some
    of the receivers may have quiet hours, which is looked at again; None: nobody will.
    """

    kind: DeviceKind
    decided_at: Millis
    messages: list[Ready]
    lane: str = ""
    arm: bool = False
    quiet_from: Millis | None = None


def uuid_of(id: bytes) -> str:
    """A delivery's id as a canonical UUID."""
    text = id.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class ArmedWork(msgspec.Struct, frozen=True, tag="armed"):
    """Messages of one notification that can be handed to a provider as they are: due when it is fired.

    Columns: the n-th message is the n-th of each list, so that a thousand of them are read at once. `bodies` are what
    `Provider.prepare` made, `ids` the deliveries' as UUIDs (`uuid_of`), `details` the devices' own, a single one where
    all have the same. `attempts` counts those since the fire. Stored while it waits for that, it is due at once if its
    notification is fired or cancelled by then. `expires_at`: when the armed life ends, after the fire when the time to
    live does. `quiet`: who of the users has quiet hours of their own; who asks for some later is among the changes.
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
    ids: list[str]
    addresses: list[str]
    details: list[str]
    bodies: list[bytes]
    lane: str = ""
    attempts: int = 0
    waits: bool = True  # for the fire; else for its turn after it
    expires_at: Millis | None = None
    quiet: list[Key] = []

    def part(self, at: slice) -> "ArmedWork":
        """Some of the messages."""
        return msgspec.structs.replace(
            self,
            users=self.users[at],
            devices=self.devices[at],
            ids=self.ids[at],
            addresses=self.addresses[at],
            details=self.details if len(self.details) == 1 else self.details[at],
            bodies=self.bodies[at],
        )


class CatchUpWork(msgspec.Struct, frozen=True, tag="catch_up"):
    """A notification was fired: whoever changed while it was armed is decided anew."""

    notification: Key


class RunsWork(msgspec.Struct, frozen=True, tag="runs"):
    """Runs of one version of an automation whose time has come."""

    automation: str
    version: int
    runs: list[Key]


class Begin(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A run that somebody asks for; `due_at`: when its first step is to be done, None: now."""

    user: Key
    run_key: str = ""
    data: Json = {}
    due_at: Millis | None = None


class BeginWork(msgspec.Struct, frozen=True, tag="begin"):
    """Runs of one automation that were asked for by a call, a segment or a date, in order."""

    automation: str
    begins: list[Begin]


class WatchWork(msgspec.Struct, frozen=True, tag="watch"):
    """A segment or a date that begins runs of one version of an automation is looked at again, for all its life.

    `cursor`: the last person that this look has come to; `began_at`: when it began, None: it has not; `since`: when the
    look before it began. `first`: nobody was ever looked at.
    """

    automation: str
    version: int
    cursor: Key = 0
    began_at: Millis | None = None
    since: Millis | None = None
    first: bool = False


class Call(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request to somebody else's server: an id that goes with every try, and its JSON."""

    id: str
    body: bytes


class WebhookWork(msgspec.Struct, frozen=True, tag="webhook"):
    """Calls of one URL, each signed as it leaves."""

    url: str
    calls: list[Call]


Job: TypeAlias = (
    EventsWork
    | AudienceWork
    | SpanWork
    | PairsWork
    | DeliverWork
    | ArmedWork
    | CatchUpWork
    | RunsWork
    | BeginWork
    | WatchWork
    | WebhookWork
)


DELIVERIES = "deliver."
"""What the names of all queues of deliveries begin with."""
SET_ASIDE_MS = 10**15
"""Jobs of what is paused are due so much later, thousands of years: when they would be due is not forgotten."""
LATE_MS = 2_000
"""How late a first attempt may be: with a TTL of 0 a message expires at birth, and that attempt is its only chance."""

_expiry = attrgetter("expires_at")
_person = itemgetter(1)


_SHARED: dict[type, str] = {
    EventsWork: "trigger",
    RunsWork: "runs",
    BeginWork: "runs",
    WatchWork: "watch",
    AudienceWork: "audience",
    CatchUpWork: "audience",
    SpanWork: "decide",
    PairsWork: "decide",
}
"""The queues that all projects share."""


def queue_of(job: Job, project: Key) -> str:
    """The queue a job waits in. Deliveries have one for each lane, so that a slow service holds back only its own.

    So have calls one for each server.
    """
    match job:
        case DeliverWork() | ArmedWork():
            return lane_queue(job.kind, project, job.lane)
        case WebhookWork():
            return f"{DELIVERIES}webhook.{project}.{urlsplit(job.url).netloc}"
        case _:
            return _SHARED[type(job)]


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
    match job:
        case DeliverWork():
            return len(job.messages)
        case ArmedWork():
            return len(job.users)
        case WebhookWork():
            return len(job.calls)
        case _:
            return 1


def ends_of(job: Job) -> Millis | None:
    """When the first of its messages has expired, whatever happens; None for a job without messages."""
    match job:
        case DeliverWork(messages=[_, *_]):
            first: Millis = min(map(_expiry, job.messages))
            return first + LATE_MS + 1
        case ArmedWork():
            return None if job.expires_at is None else job.expires_at + LATE_MS + 1
        case _:
            return None


def gathered(job: PairsWork, others: Iterable[tuple[Key, Job]], most: int) -> tuple[PairsWork, list[Key]]:
    """A job with the pairs of others that are held as it is, up to `most`; and the keys of those."""
    taken: list[Key] = []
    pairs = set(job.pairs)
    for key, other in others:
        if (
            isinstance(other, PairsWork)
            and other.held
            and not other.collected
            and len(pairs) + len(other.pairs) <= most
        ):
            pairs.update(other.pairs)
            taken.append(key)
    return (msgspec.structs.replace(job, pairs=sorted(pairs, key=_person)), taken) if taken else (job, taken)


def sole(notifications: Iterable[Key]) -> Key | None:
    """The one notification that all of a job belongs to; None when there are several."""
    keys = set(notifications)
    return keys.pop() if len(keys) == 1 else None
