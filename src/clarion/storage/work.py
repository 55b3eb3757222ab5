"""The queue: jobs are claimed under a lease, and finished only while the lease is still ours."""

import secrets
from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import Connection, bindparam, case, delete, func, select, text, update

from clarion.model import Key, Millis
from clarion.ports import SET_ASIDE_MS, Job, Lease, NewWork, PairsWork, ends_of, gathered, queue_of
from clarion.storage.database import Database, Dialect, columns_of
from clarion.storage.schema import notification, work, work_body

GATHERED = 100
"""Jobs that become one at most: so far is looked for them."""
_DECIDE = queue_of(PairsWork([]), 0)
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Job] = msgspec.msgpack.Decoder(Job)
_WORK = columns_of(work, "key", "project", "queue", "due_at", "attempts", "notification", "ends_at")
_BODY = columns_of(work_body)
_HELD = columns_of(work, "key", "lease", "due_at")
_RENEW = "UPDATE work SET due_at = batch.due_at FROM batch WHERE work.key = batch.key AND work.lease = batch.lease"
_CLAIMED = (
    "SELECT w.key, w.project, w.notification, w.attempts, b.body FROM work w JOIN work_body b ON b.work = w.key WHERE"
)
# Written once, since they run for every job: SQLAlchemy takes five times as long to put them together as to run them.
_DUE = (
    select(work.c.key)
    .where(work.c.queue == bindparam("of_queue"), work.c.due_at <= bindparam("now"))
    .order_by(work.c.due_at, work.c.key)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_TAKE = (
    update(work)
    .where(work.c.key.in_(bindparam("keys", expanding=True)))
    .values(lease=bindparam("token"), due_at=bindparam("until"))
)
# A job that was claimed was the first of its queue, so what is due with it comes next, whatever else waits.
_NEXT = (
    select(work.c.key)
    .where(work.c.queue == _DECIDE, work.c.due_at <= bindparam("now"))
    .order_by(work.c.due_at, work.c.key)
    .limit(GATHERED)
)
_OTHERS = (
    select(work.c.key, work_body.c.body)
    .join(work_body, work_body.c.work == work.c.key)
    .where(work.c.key.in_(_NEXT), work.c.notification == bindparam("of"), work.c.project == bindparam("owner"))
    .where(work.c.lease.is_(None), work.c.attempts == 0)  # what failed, fails alone
    .order_by(work.c.key)
    .with_for_update(skip_locked=True, of=work)
)
_FINISH = delete(work).where(work.c.key == bindparam("done"), work.c.lease == bindparam("token"))
_FINISH_BODY = delete(work_body).where(work_body.c.work == bindparam("done"))
# From each queue's name a step in the index to the next one: jobs may be there by the million, queues by the hundred.
_WAITING = text("""
WITH RECURSIVE walk (queue) AS (
    SELECT min(queue) FROM work
    UNION ALL
    SELECT (SELECT min(work.queue) FROM work WHERE work.queue > walk.queue) FROM walk WHERE walk.queue IS NOT NULL
)
SELECT queue, (SELECT min(due_at) FROM work WHERE work.queue = walk.queue) AS due_at FROM walk WHERE queue IS NOT NULL
""")


class SqlWork:
    """See `ports.Work`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def claim(self, queue: str, limit: int, now: Millis, lease_ms: int) -> list[Lease]:
        return await self._db.write(_claim, self._db.dialect, queue, limit, now, now + lease_ms)

    async def renew(self, leases: Sequence[Lease], until: Millis) -> None:
        await self._db.write(_renew, self._db.dialect, leases, until)

    async def release(self, lease: Lease, due_at: Millis, *, counts: bool = True) -> None:
        await self._db.write(_release, lease, due_at, counts)

    async def gather(self, lease: Lease, now: Millis, most: int) -> Lease:
        return await self._db.write(_gather, lease, now, most)

    async def set_aside(self, lease: Lease, now: Millis) -> None:
        await self._db.write(_set_aside, lease, now)

    async def waiting(self) -> dict[str, Millis]:
        return await self._db.read(_waiting)

    async def postpone(self, queue: str, until: Millis) -> None:
        await self._db.write(_postpone, queue, until)

    async def hasten(self, prefix: str, now: Millis, until: Millis) -> None:
        await self._db.write(_hasten, prefix, now, until)

    async def backlog(self) -> dict[str, int]:
        """See `ports.Work`; leased jobs count until they are finished."""
        return await self._db.read(_backlog)


def add_work(conn: Connection, dialect: Dialect, jobs: Iterable[NewWork]) -> None:
    """Store jobs, in the caller's transaction."""
    new = list(jobs)
    if not new:
        return
    keys = dialect.keys(conn, "work", len(new))
    rows = [
        (key, job.project, queue_of(job.job, job.project), job.due_at, job.attempts, job.notification, ends_of(job.job))
        for key, job in zip(keys, new, strict=True)
    ]
    dialect.insert(conn, "work", _WORK, rows)
    bodies = [(key, _encoder.encode(job.job)) for key, job in zip(keys, new, strict=True)]
    dialect.insert(conn, "work_body", _BODY, bodies)


def finish(conn: Connection, lease: Lease) -> bool:
    """Take a job off the queue; False when the lease was lost, and then nothing else may be written."""
    if conn.execute(_FINISH, {"done": lease.key, "token": lease.token}).rowcount == 0:
        return False
    conn.execute(_FINISH_BODY, {"done": lease.key})
    return True


def void_leases(conn: Connection) -> None:
    """Make every leased job due at once: whoever held it is gone."""
    conn.execute(update(work).where(work.c.lease.is_not(None)).values(lease=None, due_at=0))


def hasten(conn: Connection, project: Key, notification: Key, now: Millis) -> None:
    """Make the waiting jobs of a notification due before all others; nothing puts them off any more."""
    waiting = (work.c.notification == notification) & (work.c.project == project) & work.c.lease.is_(None)
    conn.execute(update(work).where(waiting).values(due_at=0, ends_at=now))


def without(jobs: Iterable[NewWork], skipped: set[Key]) -> list[NewWork]:
    """The jobs that do not belong to these notifications."""
    kept = []
    for job in jobs:
        if job.notification in skipped:
            continue
        if isinstance(job.job, PairsWork):
            pairs = [pair for pair in job.job.pairs if pair[0] not in skipped]
            if not pairs:
                continue
            kept.append(msgspec.structs.replace(job, job=msgspec.structs.replace(job.job, pairs=pairs)))
        elif getattr(job.job, "notification", None) not in skipped:
            kept.append(job)
    return kept


def _claim(conn: Connection, dialect: Dialect, queue: str, limit: int, now: Millis, until: Millis) -> list[Lease]:
    keys = conn.execute(_DUE, {"of_queue": queue, "now": now, "most": limit}).scalars().all()
    if not keys:
        return []
    token = secrets.randbits(62)
    conn.execute(_TAKE, {"keys": keys, "token": token, "until": until})
    claimed = dialect.large(conn, f"{_CLAIMED} w.key {dialect.within('bigint')}", dialect.listed(keys))
    leases = {
        key: Lease(key, token, project, _decoder.decode(body), notification, attempts, until)
        for key, project, notification, attempts, body in claimed
    }
    return [leases[key] for key in keys]


def _gather(conn: Connection, lease: Lease, now: Millis, most: int) -> Lease:
    assert isinstance(lease.job, PairsWork)
    held = (work.c.key == lease.key) & (work.c.lease == lease.token)
    if conn.execute(select(work.c.key).where(held).with_for_update()).first() is None:
        return lease
    others = conn.execute(_OTHERS, {"of": lease.notification, "owner": lease.project, "now": now}).all()
    job, keys = gathered(lease.job, ((row.key, _decoder.decode(row.body)) for row in others), most)
    if keys:
        for table, key in ((work, work.c.key), (work_body, work_body.c.work)):
            conn.execute(delete(table).where(key.in_(keys)))
        conn.execute(update(work_body).where(work_body.c.work == lease.key).values(body=_encoder.encode(job)))
    return msgspec.structs.replace(lease, job=job)


def _renew(conn: Connection, dialect: Dialect, leases: Sequence[Lease], until: Millis) -> None:
    dialect.apply(conn, _RENEW, _HELD, [(lease.key, lease.token, until) for lease in leases])


def _release(conn: Connection, lease: Lease, due_at: Millis, counts: bool) -> None:
    held = (work.c.key == lease.key) & (work.c.lease == lease.token)
    conn.execute(update(work).where(held).values(lease=None, due_at=due_at, attempts=work.c.attempts + int(counts)))


def _set_aside(conn: Connection, lease: Lease, now: Millis) -> None:
    """Its notification's row is held meanwhile, so that no resume leaves it behind."""
    about = (notification.c.project == lease.project) & (notification.c.key == lease.notification)
    rests = select(notification.c.key).where(
        about, notification.c.paused_at.is_not(None), notification.c.cancelled_at.is_(None)
    )
    paused = conn.execute(rests.with_for_update(read=True)).first() is not None
    held = (work.c.key == lease.key) & (work.c.lease == lease.token)
    conn.execute(update(work).where(held).values(lease=None, due_at=now + (SET_ASIDE_MS if paused else 0)))


def _waiting(conn: Connection) -> dict[str, Millis]:
    return {row.queue: row.due_at for row in conn.execute(_WAITING)}


def _postpone(conn: Connection, queue: str, until: Millis) -> None:
    free = (work.c.queue == queue) & work.c.lease.is_(None)
    at_its_end = case((work.c.ends_at > work.c.due_at, work.c.ends_at), else_=work.c.due_at)
    due_at = case((work.c.ends_at < until, at_its_end), else_=until)
    conn.execute(update(work).where(free, work.c.due_at < until).values(due_at=due_at))


def _hasten(conn: Connection, prefix: str, now: Millis, until: Millis) -> None:
    # The names are compared here: what begins with a word is no range of an index in most languages' order of words.
    queues = [queue for queue in _waiting(conn) if queue.startswith(prefix)]
    free = work.c.queue.in_(queues) & work.c.lease.is_(None)
    conn.execute(update(work).where(free, work.c.due_at > now, work.c.due_at <= until).values(due_at=now))


def _backlog(conn: Connection) -> dict[str, int]:
    counts = select(work.c.queue, func.count().label("total")).group_by(work.c.queue)
    return {row.queue: row.total for row in conn.execute(counts)}
