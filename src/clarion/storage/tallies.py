"""Sums over the newest rows: each statement ends at a bound, by the key that the rows lie in."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Table, func, literal, select, union_all

from clarion.model import DeliveryState, DeviceKind, Key, Millis, Reason
from clarion.ports import HOUR_MS, Decided, Delivered, Tally
from clarion.storage.database import Transactions
from clarion.storage.schema import decision, delivery, notification

_DUE = func.coalesce(notification.c.fired_at, notification.c.send_at, notification.c.created_at)


class SqlTallies:
    """See `ports.Tallies`."""

    def __init__(self, database: Transactions) -> None:
        self._db = database

    async def lately(self, project: Key, since: Millis, most: int) -> Tally:
        return await self._db.read(_lately, project, since, most)

    async def of_notifications(
        self, project: Key, notifications: Sequence[Key], most: int
    ) -> Mapping[Key, Mapping[DeliveryState, int]]:
        if not notifications:
            return {}
        return await self._db.read(_of_notifications, project, notifications, most)


def _lately(conn: Connection, project: Key, since: Millis, most: int) -> Tally:
    decisions = _summed(conn, decision, project, most, decision.c.reason)
    deliveries = _summed(conn, delivery, project, most, delivery.c.kind, delivery.c.state)
    return Tally(
        decisions=[Decided(hour, Reason(reason), count) for hour, reason, count in decisions if hour + HOUR_MS > since],
        deliveries=[
            Delivered(hour, DeviceKind(kind), DeliveryState(state), count)
            for hour, kind, state, count in deliveries
            if hour + HOUR_MS > since
        ],
        whole=_is_whole(decisions, since, most) and _is_whole(deliveries, since, most),
    )


def _summed(conn: Connection, table: Table, project: Key, most: int, *by: ColumnElement[Any]) -> list[tuple[Any, ...]]:
    """The newest rows by hour and some columns. Summed by notification first, so that few rows are joined."""
    newest = (
        select(table.c.notification, *by)
        .where(table.c.project == project)
        .order_by(table.c.notification.desc(), table.c.person.desc())
        .limit(most)
        .subquery()
    )
    columns = list(newest.c)
    each = select(*columns, func.count().label("total")).group_by(*columns).subquery()
    hour = (_DUE // HOUR_MS).label("hour")
    kept = [each.c[column.name] for column in by]
    query = select(hour, *kept, func.sum(each.c.total)).select_from(_with_notification(each)).group_by(hour, *kept)
    return [(row[0] * HOUR_MS, *row[1:-1], int(row[-1])) for row in conn.execute(query)]


def _with_notification(each: FromClause) -> FromClause:
    return each.join(notification, notification.c.key == each.c.notification)


def _is_whole(rows: Sequence[tuple[Any, ...]], since: Millis, most: int) -> bool:
    total: int = sum(row[-1] for row in rows)
    return total < most or bool(min(row[0] for row in rows) + HOUR_MS <= since)


def _of_notifications(
    conn: Connection, project: Key, notifications: Sequence[Key], most: int
) -> dict[Key, dict[DeliveryState, int]]:
    parts = []
    for key in notifications:
        first = (
            select(delivery.c.state)
            .where(delivery.c.project == project, delivery.c.notification == key)
            .limit(most)
            .subquery()
        )
        parts.append(
            select(literal(key).label("key"), first.c.state, func.count().label("total")).group_by(first.c.state)
        )
    found: dict[Key, dict[DeliveryState, int]] = {}
    for row in conn.execute(union_all(*parts)):
        found.setdefault(row.key, {})[DeliveryState(row.state)] = row.total
    return found
