"""Lanes that are held back: written when a gate stops, deleted when its probe passes."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, select, true, update

from clarion.model import DeviceKind, Key, Millis
from clarion.ports import Place, Stoppage, StopReason
from clarion.storage.database import Database, upsert
from clarion.storage.schema import stoppage

_PLACE = ("project", "kind", "lane")
_NEWS = ("reason", "detail", "credential", "again_at", "failures")


class SqlStoppages:
    """See `ports.Stoppages`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def all(self) -> Sequence[Stoppage]:
        return await self._db.read(_those, true())

    async def of_project(self, project: Key) -> Sequence[Stoppage]:
        return await self._db.read(_those, stoppage.c.project == project)

    async def put(self, stoppage: Stoppage) -> None:
        await self._db.write(_put, stoppage)

    async def claim_probe(self, place: Place, now: Millis, until: Millis) -> bool:
        return await self._db.write(_claim_probe, place, now, until)

    async def end(self, place: Place) -> bool:
        return await self._db.write(_end, _at(place)) > 0

    async def end_kind(self, project: Key, kind: DeviceKind) -> Sequence[Stoppage]:
        return await self._db.write(_end_kind, project, kind)

    async def forget(self, before: Millis) -> int:
        return await self._db.write(_end, stoppage.c.again_at < before)


def _those(conn: Connection, condition: ColumnElement[bool]) -> list[Stoppage]:
    found = select(stoppage).where(condition).order_by(stoppage.c.since, stoppage.c.kind, stoppage.c.lane)
    return [_stoppage(row) for row in conn.execute(found)]


def _put(conn: Connection, new: Stoppage) -> None:
    row = {name: getattr(new, name) for name in (*_PLACE, *_NEWS, "since")}
    row |= {"kind": new.kind.value, "reason": new.reason.value}
    added = upsert(conn, stoppage).values(row)
    said = {name: getattr(added.excluded, name) for name in _NEWS}
    conn.execute(added.on_conflict_do_update(index_elements=_PLACE, set_=said))


def _claim_probe(conn: Connection, place: Place, now: Millis, until: Millis) -> bool:
    due = update(stoppage).where(_at(place), stoppage.c.again_at <= now)
    return conn.execute(due.values(again_at=until)).rowcount > 0


def _end_kind(conn: Connection, project: Key, kind: DeviceKind) -> list[Stoppage]:
    mine = and_(stoppage.c.project == project, stoppage.c.kind == kind.value)
    return [_stoppage(row) for row in conn.execute(delete(stoppage).where(mine).returning(stoppage))]


def _end(conn: Connection, condition: ColumnElement[bool]) -> int:
    return conn.execute(delete(stoppage).where(condition)).rowcount


def _at(place: Place) -> ColumnElement[bool]:
    return and_(stoppage.c.project == place.project, stoppage.c.kind == place.kind.value, stoppage.c.lane == place.lane)


def _stoppage(row: Row[Any]) -> Stoppage:
    return Stoppage(
        project=row.project,
        kind=DeviceKind(row.kind),
        lane=row.lane,
        reason=StopReason(row.reason),
        detail=row.detail,
        credential=row.credential,
        since=row.since,
        again_at=row.again_at,
        failures=row.failures,
    )
