"""Armed notifications: the moment of the fire, what changed before it, and deliveries that begin with their outcome."""

from collections.abc import Sequence
from typing import TypeGuard

import msgspec
from sqlalchemy import Connection, select, update

from clarion.model import DeliveryState, Key, Millis
from clarion.ports import DELIVERIES, LATE_MS, ArmedWork, CatchUpWork, Changes, Job, NewWork, Sent
from clarion.storage.database import Dialect, columns_of
from clarion.storage.departing import gone_since
from clarion.storage.requests import decode_request
from clarion.storage.schema import delivery, notification, project, work
from clarion.storage.work import add_work

_OVERLAP_MS = 60_000
"""Who went this long before the last look may have gone after it: the clocks of two machines differ."""
_DELIVERY = columns_of(delivery)
_NAMES = ", ".join(_DELIVERY)
_BEGIN = f"INSERT INTO delivery ({_NAMES}) SELECT {_NAMES} FROM batch WHERE true ON CONFLICT DO NOTHING"  # noqa: S608 - ours


def fire(conn: Connection, dialect: Dialect, owner: Key, key: Key, now: Millis) -> list[str]:
    """See `ports.Trail.fire`. The row stays locked: what is armed at the same time is found, or finds it fired."""
    mine = (notification.c.project == owner) & (notification.c.key == key)
    ready = (
        (notification.c.armed_until > now) & notification.c.fired_at.is_(None) & notification.c.cancelled_at.is_(None)
    )
    if conn.execute(update(notification).where(mine, ready).values(fired_at=now)).rowcount == 0:
        return []
    waiting = (work.c.notification == key) & (work.c.project == owner) & work.c.queue.startswith(DELIVERIES)
    queues = set(conn.execute(select(work.c.queue).where(waiting).distinct()).scalars())
    told = {"due_at": now, "ends_at": _expires_at(conn, owner, key, now) + LATE_MS + 1}
    conn.execute(update(work).where(waiting, work.c.lease.is_(None), work.c.due_at > now).values(told))
    catch_up = NewWork(project=owner, job=CatchUpWork(notification=key), due_at=now, notification=key)
    add_work(conn, dialect, [catch_up])
    return sorted(queues | {"audience"})


def hastened(conn: Connection, jobs: Sequence[NewWork], now: Millis) -> Sequence[NewWork]:
    """The jobs as they are to be stored: armed ones are due now if their notification is fired or cancelled already.

    Its row is held until the transaction ends, so that nobody fires it meanwhile.
    """
    keys = sorted({new.job.notification for new in jobs if _waits_for_its_fire(new.job)})
    if not keys:
        return jobs
    held = select(notification.c.project, notification.c.key, notification.c.fired_at, notification.c.cancelled_at)
    owners = {new.project for new in jobs}
    held = (
        held.where(notification.c.project.in_(owners), notification.c.key.in_(keys))
        .order_by(notification.c.key)
        .with_for_update(read=True)
    )
    ends: dict[Key, Millis] = {}
    for row in conn.execute(held).all():
        if row.cancelled_at is not None:
            ends[row.key] = now
        elif row.fired_at is not None:
            ends[row.key] = _expires_at(conn, row.project, row.key, row.fired_at)
    return [
        msgspec.structs.replace(new, due_at=now, job=msgspec.structs.replace(new.job, expires_at=end))
        if _waits_for_its_fire(new.job) and (end := ends.get(new.job.notification)) is not None
        else new
        for new in jobs
    ]


def _expires_at(conn: Connection, owner: Key, key: Key, fired_at: Millis) -> Millis:
    mine = (notification.c.project == owner) & (notification.c.key == key)
    request = conn.execute(select(notification.c.request).where(mine)).scalar_one()
    return fired_at + decode_request(request).message.ttl * 1000


def _waits_for_its_fire(job: Job) -> TypeGuard[ArmedWork]:
    return isinstance(job, ArmedWork) and job.waits


def changes(conn: Connection, dialect: Dialect, owner: Key, since: Millis) -> Changes:
    """See `ports.Steps.changes`."""
    users: dict[Key, Millis] = {}
    devices: dict[Key, Millis] = {}
    successors: dict[Key, Key | None] = {}
    for person, (successor, at) in gone_since(conn, owner, since).items():
        users[person], successors[person] = at, successor
        if successor is not None:
            users[successor] = max(users.get(successor, 0), at)
    for table, when in (("consent", "at"), ("person_preference", "updated_at")):
        rest = f"FROM {table} WHERE project = ? AND {when} >= ?"
        for user, at in dialect.rows(conn, ("person", when), rest, owner, since):
            users[user] = max(users.get(user, 0), at)
    rest = "FROM device WHERE project = ? AND updated_at >= ?"
    for device, user, at in dialect.rows(conn, ("key", "person", "updated_at"), rest, owner, since):
        devices[device] = at
        users[user] = max(users.get(user, 0), at)
    # After the devices: whoever sees that one moved, sees from whom.
    rest = "FROM handed_on WHERE project = ? AND at >= ?"
    for user, at in dialect.rows(conn, ("person", "at"), rest, owner, since):
        users[user] = max(users.get(user, 0), at)
    return Changes(users, devices, successors)


def write_sent(conn: Connection, dialect: Dialect, owner: Key, sent: Sequence[Sent], at: Millis) -> None:
    """Deliveries that begin as accepted. One that is there already was told by its device, which knows better."""
    # Whoever erases a person waits until this is written, and finds it.
    conn.execute(select(project.c.key).where(project.c.key == owner).with_for_update(read=True))
    since = min(each.at for each in sent) - _OVERLAP_MS
    gone = {person: successor for person, (successor, _) in gone_since(conn, owner, since).items()}
    state = int(DeliveryState.ACCEPTED)
    for each in sent:
        ids = each.provider_ids or [None] * len(each.users)
        users = [_present(user, gone) for user in each.users] if gone else each.users
        rows = [
            (owner, each.notification, user, device, each.kind.value, state, None, id, 1, at)
            for user, device, id in zip(users, each.devices, ids, strict=True)
            if user is not None
        ]
        dialect.apply(conn, _BEGIN, _DELIVERY, rows)


def _present(user: Key, gone: dict[Key, Key | None]) -> Key | None:
    present: Key | None = user
    while present is not None and present in gone:
        present = gone[present]
    return present
