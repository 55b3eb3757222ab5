"""What waits for a digest, with all that may have to go with it: loaded before it is decided, and as it leaves."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from clarion.journey.catalog import Catalog
from clarion.journey.digests.digest import together
from clarion.model import Key, Millis, Notification
from clarion.ports import PairsWork, SpanWork, Store


class Asked(NamedTuple):
    """The job as it is to be decided, its notifications, and keys for the digests that there may be."""

    job: SpanWork | PairsWork
    notifications: dict[Key, Notification]
    keys: Sequence[Key]


async def asked_together(store: Store, catalog: Catalog, project: Key, job: SpanWork | PairsWork, now: Millis) -> Asked:
    """A job of what is collected grows; any other stays as it is."""
    if isinstance(job, SpanWork):
        return Asked(job, await store.trail.load(project, [job.notification]), ())
    notifications = await store.trail.load(project, sorted({key for key, _ in job.pairs}))
    if not job.collected:
        return Asked(job, notifications, ())
    waiting = await store.steps.collected(project, sorted({user for _, user in job.pairs}))
    grown = together(job, waiting, notifications, await catalog.categories(project), now)
    more = sorted({key for key, _ in grown.pairs} - notifications.keys())
    if more:
        notifications |= await store.trail.load(project, more)
    groups = {(one.user, one.group) for one in waiting}
    return Asked(grown, notifications, await store.trail.reserve(len(groups)) if groups else ())


async def called_off_with_all(
    store: Store, project: Key, notifications: dict[Key, Notification]
) -> dict[Key, Notification]:
    """The same; a digest is cancelled when everything is that it stands for."""
    digests = {key: one for key, one in notifications.items() if one.digest_of and one.cancelled_at is None}
    if not digests:
        return notifications
    items = await store.trail.load(project, sorted({key for one in digests.values() for key in one.digest_of}))
    found = dict(notifications)
    for key, one in digests.items():
        times = [items[item].cancelled_at for item in one.digest_of if item in items]
        if times and all(times):
            found[key] = msgspec.structs.replace(one, cancelled_at=max(filter(None, times)))
    return found
