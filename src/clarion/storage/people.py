"""People by the caller's own id: created by whatever names them first, merged at login, erased without a trace."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, select, update

from clarion.errors import Conflict, InvalidRequest
from clarion.model import Json, Key, Millis, User, UserChange
from clarion.model.segments import bucket_of
from clarion.storage.database import Database, Dialect, columns_of, upsert
from clarion.storage.departing import merged_since
from clarion.storage.erasing import erase
from clarion.storage.merging import aliases, merge
from clarion.storage.schema import person

_NEW = columns_of(person, "key", "project", "id", "attributes", "anonymous", "created_at", "updated_at", "bucket")


class SqlUsers:
    """See `ports.Users`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def put(self, project: Key, user_id: str, change: UserChange, now: Millis) -> tuple[User, bool]:
        return await self._db.write(_put, project, user_id, change, now)

    async def get(self, project: Key, user_id: str) -> User | None:
        return await self._db.read(_get, project, person.c.id == user_id)

    async def by_key(self, project: Key, key: Key) -> User | None:
        return await self._db.read(_get, project, person.c.key == key)

    async def resolve(self, project: Key, user_ids: Sequence[str], now: Millis, *, create: bool) -> dict[str, Key]:
        found = await self._db.read(find, self._db.dialect, project, user_ids)
        missing = [user_id for user_id in dict.fromkeys(user_ids) if user_id not in found]
        if create and missing:
            found |= await self._db.write(resolve, self._db.dialect, project, missing, now)
        return found

    async def ids(self, project: Key, keys: Sequence[Key]) -> dict[Key, str]:
        return await self._db.read(_ids, self._db.dialect, project, keys)

    async def create_anonymous(self, project: Key, user_id: str, now: Millis) -> User:
        """See `ports.Users`.

        Raises:
            Conflict: the id is taken.
        """
        return await self._db.write(_create_anonymous, project, user_id, now)

    async def erase(self, project: Key, user_id: str) -> bool:
        """See `ports.Users`; the person is also struck from the audiences of notifications."""
        found = await self._db.read(find, self._db.dialect, project, [user_id])
        if user_id not in found:
            return False
        async with self._db.holding(project, None, [found[user_id]]) as held:
            return await held.write(erase, project, found[user_id], user_id, self._db.now())

    async def merge(self, project: Key, anonymous: Key, known: Key, now: Millis) -> None:
        """See `ports.Users`; nothing happens when one of them is not there (any more)."""
        async with self._db.holding(project, None, sorted({anonymous, known})) as held:
            await held.write(merge, project, anonymous, known, now)

    async def successors(self, project: Key, keys: Sequence[Key]) -> dict[Key, Key]:
        return await self._db.read(aliases, project, keys)

    async def merged_since(self, project: Key, span: tuple[Key, Key], since: Millis) -> dict[Key, Key]:
        return await self._db.read(merged_since, project, span, since)


def resolve(conn: Connection, dialect: Dialect, project: Key, ids: Iterable[str], now: Millis) -> dict[str, Key]:
    """Public id → key; people who are named for the first time are created."""
    wanted = list(dict.fromkeys(ids))
    found = find(conn, dialect, project, wanted)
    missing = [id for id in wanted if id not in found]
    if missing:
        keys = dialect.keys(conn, "person", len(missing))
        rows = [(key, project, id, "{}", False, now, now, bucket_of(id)) for key, id in zip(keys, missing, strict=True)]
        if dialect.insert(conn, "person", _NEW, rows) == len(rows):
            found.update(zip(missing, keys, strict=True))
        else:  # another process created one of them at the same time
            found |= find(conn, dialect, project, missing)
    return found


def find(conn: Connection, dialect: Dialect, project: Key, ids: Sequence[str]) -> dict[str, Key]:
    """Public id → key, of those who exist."""
    if any("\0" in id for id in ids):
        raise InvalidRequest.field("user_id", "must not contain a NUL character")
    rest = f"FROM person WHERE project = ? AND id {dialect.within('text')}"
    return dict(dialect.rows(conn, ("id", "key"), rest, project, dialect.listed(ids)))


def _ids(conn: Connection, dialect: Dialect, project: Key, keys: Sequence[Key]) -> dict[Key, str]:
    rest = f"FROM person WHERE +project = ? AND key {dialect.within('bigint')}"
    return dict(dialect.rows(conn, ("key", "id"), rest, project, dialect.listed(keys)))


def _get(conn: Connection, project: Key, condition: ColumnElement[bool]) -> User | None:
    row = conn.execute(select(person).where(person.c.project == project, condition)).first()
    return _user(row) if row else None


def _put(conn: Connection, project: Key, user_id: str, change: UserChange, now: Millis) -> tuple[User, bool]:
    created = _create(conn, project, user_id, now, anonymous=False)
    mine = (person.c.project == project) & (person.c.id == user_id)
    row = conn.execute(select(person).where(mine).with_for_update()).one()
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not msgspec.UNSET}
    if "attributes" in given:
        given["attributes"] = _merged(row.attributes, given["attributes"])
    changed = conn.execute(update(person).where(mine).values(**given, updated_at=now).returning(person)).one()
    return _user(changed), created


def _merged(old: Json, given: Json) -> Json:
    """Key by key; null removes."""
    return {name: value for name, value in (old | given).items() if value is not None}


def _create(conn: Connection, project: Key, user_id: str, now: Millis, *, anonymous: bool) -> bool:
    values = {"project": project, "id": user_id, "attributes": {}, "anonymous": anonymous, "bucket": bucket_of(user_id)}
    statement = upsert(conn, person).values(**values, created_at=now, updated_at=now).on_conflict_do_nothing()
    return conn.execute(statement.returning(person.c.key)).scalar() is not None


def _create_anonymous(conn: Connection, project: Key, user_id: str, now: Millis) -> User:
    if not _create(conn, project, user_id, now, anonymous=True):
        raise Conflict(f"a user with the id {user_id!r} exists")
    return _user(conn.execute(select(person).where(person.c.project == project, person.c.id == user_id)).one())


def _user(row: Row[Any]) -> User:
    return User(
        key=row.key,
        project=row.project,
        user_id=row.id,
        attributes=row.attributes,
        locale=row.locale,
        timezone=row.timezone,
        email=row.email,
        phone=row.phone,
        anonymous=row.anonymous,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
