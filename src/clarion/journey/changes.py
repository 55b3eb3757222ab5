"""What this process knows of notifications that are fired just now: who changed, and whether they are called off."""

import asyncio

import msgspec

from clarion.crypto.bounded import Bounded
from clarion.journey.arming import OVERLAP_MS
from clarion.model import Key, Millis, Notification
from clarion.ports import Changes, Clock, Store

FRESH_MS = 100
"""How old it may be when a batch leaves; older where looking takes long, so that it is a small part of all work."""
FORGOTTEN_MS = 600_000
"""What nothing was sent of for so long is forgotten, at the next look at another: there may be millions of changes."""
_SHARE = 20
_NOTIFICATIONS = 100


class Fired(msgspec.Struct, frozen=True):
    """A fired notification, and everything that changed since it was made."""

    notification: Notification
    changes: Changes


class _Known(msgspec.Struct):
    fired: Fired
    looked_at: Millis
    fresh_until: Millis


class FiredOnes:
    """Reads the changes since the last look only, with an overlap for those that were written late."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[Key, _Known] = {}
        self._looking: Bounded[Key, asyncio.Lock] = Bounded(_NOTIFICATIONS)

    async def get(self, project: Key, key: Key) -> Fired | Notification | None:
        """The notification by itself if it is not fired, or cancelled; None when it is gone."""
        looking = self._looking.get(key)
        if looking is None:
            looking = asyncio.Lock()
            self._looking.put(key, looking)
        async with looking:
            known = self._known.get(key)
            if known is not None and self._clock.now() < known.fresh_until:
                return known.fired
            return await self._look(project, key, known)

    async def _look(self, project: Key, key: Key, known: _Known | None) -> Fired | Notification | None:
        begun = self._clock.now()
        notification = (await self._store.trail.load(project, [key])).get(key)
        if notification is None or notification.fired_at is None or notification.cancelled_at is not None:
            return notification
        since = (notification.created_at if known is None else known.looked_at) - OVERLAP_MS
        changes = await self._store.steps.changes(project, since)
        if known is not None:
            changes = _joined(known.fired.changes, changes)
        took = self._clock.now() - begun
        fired = Fired(notification, changes)
        self._keep(key, _Known(fired, begun, begun + max(FRESH_MS, took * _SHARE)))
        return fired

    def _keep(self, key: Key, new: _Known) -> None:
        oldest = new.looked_at - FORGOTTEN_MS
        kept = {other: known for other, known in self._known.items() if other != key and known.looked_at > oldest}
        if len(kept) >= _NOTIFICATIONS:
            del kept[next(iter(kept))]
        self._known = kept | {key: new}


def _joined(before: Changes, since: Changes) -> Changes:
    """The earlier ones, grown: whoever holds them sees the new ones too, which is as well."""
    before.users.update(since.users)
    before.devices.update(since.devices)
    before.successors.update(since.successors)
    return before
