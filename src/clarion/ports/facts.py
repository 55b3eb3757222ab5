"""What deciding and delivering need to know, loaded a batch at a time."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple, Protocol

import msgspec

from clarion.model import DeviceKind, Key, Millis, Permission, PersonPreference, Run
from clarion.ports.audiences import Crowd
from clarion.ports.runs import RunsQuery
from clarion.ports.work import Collected, Effects, Lease


class Target(msgspec.Struct, frozen=True, gc=False):
    """An active device as deciding and composing see it; `lane` is where its messages go (`model.Registration`)."""

    key: Key
    kind: DeviceKind
    permission: Permission
    locale: str | None
    lane: str = ""


class Recipient(msgspec.Struct, frozen=True, gc=False):
    """One user with what matters for this decision. `attributes` is raw JSON, parsed only when a text needs it.

    `consents` maps (category, channel) to the last word of the ledger; no entry means that nothing was said.
    `preferences` and `zone` are there if the query asks for them. `zone` is the person's own time zone, else that of
    the active device that was seen last; None when nobody told one.
    """

    key: Key
    user_id: str
    locale: str | None
    timezone: str | None
    attributes: str | bytes
    targets: list[Target]
    consents: dict[tuple[str, str], bool]
    preferences: PersonPreference | None = None
    zone: str | None = None


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What one person asked for themselves, and their zone, as in `Recipient`."""

    preferences: PersonPreference | None = None
    zone: str | None = None


class Taken(msgspec.Struct, frozen=True, order=True, gc=False):
    """A place under the caps that a person's earlier notification takes; `at`: when it was sent (see `Slot`).

    What it was is there if the query asks for it.
    """

    user: Key
    at: Millis
    notification: Key
    category: str = ""
    class_: str = ""
    channel: str = ""


class Waiting(NamedTuple):
    """A notification that waits for a place under a cap, until it is decided again at `until`."""

    notification: Key
    category: str
    priority: int
    expires_at: Millis
    until: Millis


class Happened(msgspec.Struct, frozen=True, gc=False):
    """An event as conditions see it. `properties` is raw JSON."""

    key: Key
    at: Millis
    properties: str | bytes


class Facts(msgspec.Struct, frozen=True):
    """`recipients` in key order; users that do not exist any more are missing. `sent_content`: (user, hash) → at.

    `decided`: (notification, user) of `FactsQuery.once` that are decided already.

    Of `FactsQuery.again`: `begun` are the (notification, user, device) with a message on its way or shown, `chosen` is
    (notification, user) → when it was decided to send. `events`: (user, name) → those that were asked for.

    Of `FactsQuery.caps`: `taken` and `waiting`, by user, in no order; who has none is missing. `members`: who of these
    people belongs to each of `FactsQuery.crowds`, by its name.
    `collected`: what waits for a digest, by user.
    """

    recipients: list[Recipient]
    sent_content: dict[tuple[Key, int], Millis]
    decided: frozenset[tuple[Key, Key]] = frozenset()
    begun: frozenset[tuple[Key, Key, Key]] = frozenset()
    chosen: dict[tuple[Key, Key], Millis] = {}
    taken: dict[Key, list[Taken]] = {}
    waiting: dict[Key, list[Waiting]] = {}
    events: dict[tuple[Key, str], list[Happened]] = {}
    members: dict[str, frozenset[Key]] = {}
    runs: list[Run] = []
    collected: dict[Key, list[Collected]] = {}


class CapsQuery(NamedTuple):
    """What the caps need: places taken at or after `since`, and those who wait, where a cap lets wait.

    `calendar`: whether one of them asks for the person's own day or week, and so for `FactsQuery.zones`; `scoped`:
    whether one of them counts a class, a category or a channel only.
    """

    since: Millis
    waiting: bool
    calendar: bool = False
    scoped: bool = False


class FactsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which users and what about them: a span of keys, or named keys (sorted, unique)."""

    span: tuple[Key, Key] | None = None
    users: Sequence[Key] | None = None
    categories: Sequence[str] = ()
    content: Sequence[int] = ()  # content hashes whose earlier use matters
    once: Sequence[Key] = ()  # notifications that nobody may be decided for twice: who was merged may be in two jobs
    held: bool = False  # it is a hold that is decided again: only what is decided for good counts
    again: Sequence[Key] = ()  # notifications that may have been decided, and sent, for these users before
    caps: CapsQuery | None = None  # None: no cap can match
    preferences: bool = False  # what people asked for themselves; the zones of those who asked for quiet hours with it
    zones: bool = False  # everybody's time zone
    events: Sequence[str] = ()  # names of events that matter, if they happened at or after `events_since`
    events_since: Millis = 0
    runs: RunsQuery | None = None  # runs of automations
    crowds: Sequence[Crowd] = ()  # audiences to which they may belong
    collected: bool = False  # what waits for a digest


class Changes(msgspec.Struct, frozen=True):
    """Whose devices, consents or very existence changed, and which devices: when the last time.

    `successors` are people who are not there any more, with who they turned out to be; None for the erased.
    """

    users: dict[Key, Millis]
    devices: dict[Key, Millis]
    successors: dict[Key, Key | None]


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

    async def asked(self, project: Key, users: Sequence[Key], *, zones: bool) -> dict[Key, Asked]:
        """Of those of these people (sorted) who asked for anything; with `zones` also of those who have a zone."""
        ...

    async def refused_since(
        self, project: Key, users: Sequence[Key], since: Millis
    ) -> dict[tuple[Key, str, str], bool]:
        """(user, category, channel) → granted, for ledger lines at or after `since`; the last word."""
        ...

    async def collected(self, project: Key, users: Sequence[Key]) -> list[Collected]:
        """What waits for a digest of these people (sorted), in order of people, then as it was collected."""
        ...

    async def paused(self, project: Key, users: Sequence[Key], now: Millis) -> frozenset[Key]:
        """Those of these people who want no marketing now."""
        ...

    async def changes(self, project: Key, since: Millis) -> Changes:
        """What changed at or after `since`; of people who went, for eight days."""
        ...

    async def forget_slots(self, before: Millis, after: Key, users: int) -> Key | None:
        """Delete places under caps that were taken before a moment, of the next `users` people beyond the key `after`.

        Whom to go on after; None when that was the last of them.
        """
        ...

    async def user_span(self, project: Key, after: Key, size: int, limit: int) -> list[tuple[Key, Key]]:
        """Up to `limit` spans of `size` user keys each, beyond `after`, covering all users in key order."""
        ...
