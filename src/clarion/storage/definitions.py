"""What a project defines by name: categories, templates, automations; bodies that the store does not look into."""

from sqlalchemy import Connection, delete, select

from clarion.model import Json, Key, Millis
from clarion.ports import Page
from clarion.storage.database import Database, from_json, to_json, upsert
from clarion.storage.schema import definition


class SqlDefinitions:
    """See `ports.Definitions`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, project: Key, kind: str, name: str, body: Json, now: Millis) -> bool:
        return await self._db.write(_add, project, kind, name, body, now)

    async def put(self, project: Key, kind: str, name: str, body: Json, now: Millis) -> bool:
        return await self._db.write(put, project, kind, name, body, now)

    async def get(self, project: Key, kind: str, name: str) -> Json | None:
        return await self._db.read(_get, project, kind, name)

    async def all(self, project: Key, kind: str) -> list[Json]:
        page = await self._db.read(_page, project, kind, None, None)
        return page.items

    async def page(self, project: Key, kind: str, cursor: str | None, limit: int) -> Page[Json]:
        return await self._db.read(_page, project, kind, cursor, limit)

    async def delete(self, project: Key, kind: str, name: str) -> bool:
        return await self._db.write(_delete, project, kind, name)


def _add(conn: Connection, project: Key, kind: str, name: str, body: Json, now: Millis) -> bool:
    row = {"project": project, "kind": kind, "name": name, "body": to_json(body), "updated_at": now}
    added = upsert(conn, definition).values(row).on_conflict_do_nothing().returning(definition.c.name)
    return conn.execute(added).first() is not None


def put(conn: Connection, project: Key, kind: str, name: str, body: Json, now: Millis) -> bool:
    """See `ports.Definitions.put`."""
    known = _get(conn, project, kind, name) is not None
    values = {"body": to_json(body), "updated_at": now}
    statement = upsert(conn, definition).values(project=project, kind=kind, name=name, **values)
    conn.execute(statement.on_conflict_do_update(index_elements=["project", "kind", "name"], set_=values))
    return not known


def _get(conn: Connection, project: Key, kind: str, name: str) -> Json | None:
    mine = (definition.c.project == project) & (definition.c.kind == kind) & (definition.c.name == name)
    body = conn.execute(select(definition.c.body).where(mine)).scalar()
    found: Json | None = None if body is None else from_json(body)
    return found


def _page(conn: Connection, project: Key, kind: str, cursor: str | None, limit: int | None) -> Page[Json]:
    """In order of names; the cursor is the last name of the page before."""
    query = select(definition.c.name, definition.c.body)
    query = query.where(definition.c.project == project, definition.c.kind == kind, definition.c.name > (cursor or ""))
    rows = conn.execute(query.order_by(definition.c.name).limit(None if limit is None else limit + 1)).all()
    shown = rows[:limit]
    more = len(rows) > len(shown)
    return Page(items=[from_json(row.body) for row in shown], next_cursor=shown[-1].name if more else None)


def _delete(conn: Connection, project: Key, kind: str, name: str) -> bool:
    mine = (definition.c.project == project) & (definition.c.kind == kind) & (definition.c.name == name)
    return conn.execute(delete(definition).where(mine)).rowcount > 0
