"""Idempotency-Key: the first request with a key does the work, later ones get its answer."""

from sqlalchemy import Connection, delete, select, tuple_, update

from clarion.model import DAY_MS, Key, Millis
from clarion.ports import SavedAnswer
from clarion.storage.database import Database, upsert
from clarion.storage.schema import idempotency

_CRASHED_MS = 60_000
_HEALTH = {"project": 0, "key": "health", "request_hash": b"", "status": 1, "body": b""}


class SqlIdempotency:
    """See `ports.Idempotency`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def begin(self, project: Key, key: str, request_hash: bytes, now: Millis) -> SavedAnswer | None:
        return await self._db.write(_begin, project, key, request_hash, now)

    async def finish(self, project: Key, key: str, status: int, body: bytes) -> None:
        await self._db.write(_finish, project, key, status, body)

    async def abandon(self, project: Key, key: str) -> None:
        await self._db.write(_abandon, project, key)


def void_unanswered(conn: Connection) -> None:
    """Forget requests that were in progress: whoever did them is gone, and a repetition may try at once."""
    conn.execute(delete(idempotency).where(idempotency.c.status == 0))


def touch(conn: Connection, now: Millis) -> None:
    """Write one row that nobody reads, to see that the database takes it."""
    statement = upsert(conn, idempotency).values(**_HEALTH, created_at=now)
    conn.execute(statement.on_conflict_do_update(index_elements=["project", "key"], set_={"created_at": now}))


def _begin(conn: Connection, project: Key, key: str, request_hash: bytes, now: Millis) -> SavedAnswer | None:
    mine = (idempotency.c.project == project) & (idempotency.c.key == key)
    _forget(conn, now - DAY_MS)
    values = {"request_hash": request_hash, "status": 0, "body": b"", "created_at": now}
    statement = upsert(conn, idempotency).values(project=project, key=key, **values).on_conflict_do_nothing()
    if conn.execute(statement.returning(idempotency.c.key)).first() is not None:
        return None
    row = conn.execute(select(idempotency).where(mine).with_for_update()).first()
    if row is None:  # abandoned at this moment
        return _begin(conn, project, key, request_hash, now)
    if now - row.created_at >= (DAY_MS if row.status else _CRASHED_MS):
        conn.execute(update(idempotency).where(mine).values(values))
        return None
    return SavedAnswer(request_hash=row.request_hash, status=row.status, body=row.body)


def _forget(conn: Connection, before: Millis) -> None:
    """Remove some answers that are too old: each request clears more than it leaves."""
    old = select(idempotency.c.project, idempotency.c.key).where(idempotency.c.created_at <= before).limit(4)
    rows = conn.execute(old.order_by(idempotency.c.created_at)).all()
    if rows:
        conn.execute(delete(idempotency).where(tuple_(idempotency.c.project, idempotency.c.key).in_(rows)))


def _finish(conn: Connection, project: Key, key: str, status: int, body: bytes) -> None:
    mine = (idempotency.c.project == project) & (idempotency.c.key == key)
    conn.execute(update(idempotency).where(mine).values(status=status, body=body))


def _abandon(conn: Connection, project: Key, key: str) -> None:
    mine = (idempotency.c.project == project) & (idempotency.c.key == key)
    conn.execute(delete(idempotency).where(mine, idempotency.c.status == 0))
