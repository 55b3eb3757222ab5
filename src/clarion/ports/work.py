"""The queue: jobs leased and fenced, and what one step of it wants written."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from clarion.model import Decision, Delivery, DeviceKind, DeviceVerdict, Json, Key, Millis, Notification, Outcome, Run
from clarion.ports.jobs import Job


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


class Throttle(NamedTuple):
    """What the rate of a queue leaves room for: nothing is worth a claim before `until`, then `most` messages in hand.

    At least one job, whatever is in it.
    """

    until: Millis
    most: int


class Sent(msgspec.Struct, frozen=True):
    """Messages of one notification that a service took at their first attempt, after the last look at `at`. Columns."""

    notification: Key
    kind: DeviceKind
    users: Sequence[Key]
    devices: Sequence[Key]
    provider_ids: Sequence[str | None] | None
    at: Millis


class Slot(msgspec.Struct, frozen=True, gc=False):
    """A place under the project's caps that one notification takes for one person.

    `at`: when it was decided to send; of an armed one (`armed`) the latest that it may be fired.
    """

    user: Key
    notification: Key
    at: Millis
    category: str
    class_: str
    channel: str
    armed: bool = False


class Collected(NamedTuple):
    """A notification that waits for a digest of one person since `at`; `group`: the hash of what it waits with."""

    user: Key
    notification: Key
    group: int
    at: Millis


class Released(NamedTuple):
    """A notification that does not wait for a digest any more; `digest`: the one that it is in."""

    user: Key
    notification: Key
    digest: Key | None


class Attributes(NamedTuple):
    """What some people's attributes become; null removes one."""

    users: Sequence[Key]
    values: Json


class Listed(NamedTuple):
    """People who come onto a kept list of the project, or off it."""

    kind: Literal["automation"]
    name: str
    users: Sequence[Key]
    on: bool


class Effects(msgspec.Struct, frozen=True, kw_only=True):
    """All that one step wants written: in one transaction, or not at all.

    A notification whose (project, id) is known is left as it is, and so is all work here that names its key.
    `revised` are decisions that replace an earlier one. `sent_content` are (user, content hash) reservations,
    `unsent_content` (user, hash, at) those of an earlier moment that came to nothing. `sent` are deliveries that begin
    with their outcome; who was erased since has none, who was merged has it as who they are.
    `runs` without a key begin, unless there is one under way of that person and key; the others are as the step left
    them, unless they ended meanwhile. `attributes` are set, `listed` goes onto lists and off them.

    `slots` are places taken under caps; what is `revised` to another end than send, or has only deliveries that failed
    or expired, gives its place back; what was superseded on its way keeps it for what comes instead. `collected` waits
    for a digest, `released` does not any more; who is collected already stays since then.
    """

    notifications: Sequence[Notification] = ()
    decisions: Sequence[Decision] = ()
    revised: Sequence[Decision] = ()
    deliveries: Sequence[Delivery] = ()
    outcomes: Sequence[Outcome] = ()
    sent: Sequence[Sent] = ()
    device_verdicts: Sequence[DeviceVerdict] = ()
    sent_content: Sequence[tuple[Key, int]] = ()
    unsent_content: Sequence[tuple[Key, int, Millis]] = ()
    slots: Sequence[Slot] = ()
    collected: Sequence[Collected] = ()
    released: Sequence[Released] = ()
    runs: Sequence[Run] = ()
    attributes: Sequence[Attributes] = ()
    listed: Sequence[Listed] = ()
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

    async def gather(self, lease: Lease, now: Millis, most: int) -> Lease:
        """The same lease with the held pairs of other due jobs of its notification, up to `most`; those jobs are gone.

        Only for a job of held pairs of one notification, not collected; of the same kind are those that are taken, and
        none that failed before. Unchanged when there are none, or when the lease is lost.
        """
        ...

    async def set_aside(self, lease: Lease, now: Millis) -> None:
        """Give a job back whose notification is paused, to be done when it is resumed; at once if it is already."""
        ...

    async def waiting(self) -> dict[str, Millis]:
        """Every queue that holds a job, with when its earliest is due (a leased one: when its lease runs out).

        One cheap read, however many jobs wait: workers ask it once a second.
        """
        ...

    async def postpone(self, queue: str, until: Millis) -> None:
        """The jobs of a queue that nobody holds and that are due before `until` become due then.

        A job with a message that expires before comes at that moment: somebody is to say so (`ends_of`). What is
        cancelled is not put off at all.
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
