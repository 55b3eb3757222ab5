"""Notifications and what became of them: decisions, deliveries and receipts, as the API shows them."""

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select, tuple_, update

from clarion.model import DeliveryState, DeviceKind, Key, Millis, Notification, Reason, Receipt
from clarion.ports import DecisionRecord, DeliveryRecord, Page, Progress, ReceiptRecord, Standing
from clarion.storage.arming import fire
from clarion.storage.database import Database, Dialect, by_other_index, int_cursor
from clarion.storage.receipts import ReceiptWriter, receipts_of_user
from clarion.storage.requests import read_notifications, to_notification
from clarion.storage.schema import (
    decision,
    delivery,
    device,
    digest_item,
    gate_record,
    notification,
    person,
    stoppage,
    work,
)
from clarion.storage.updating import holders, standings
from clarion.storage.work import hasten

_SPARE_S = 60.0
"""A key that was fetched ahead is used so soon, or never: keys rise with the time at which they are used."""


class SqlTrail:
    """See `ports.Trail`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._spare: list[Key] = []
        self._spare_until = 0.0
        self._receipts = ReceiptWriter(database)

    async def reserve(self, count: int) -> list[Key]:
        """See `ports.Trail`; keys are fetched ahead, so that most calls cost nothing."""
        now = time.monotonic()
        if now > self._spare_until:
            self._spare = []
        while len(self._spare) < count:
            size = max(count - len(self._spare), self._db.key_block)
            fetched = await self._db.write(_reserve, self._db.dialect, size)
            if not self._spare:
                self._spare_until = now + _SPARE_S
            self._spare += fetched  # not before the wait: others take from the list meanwhile
        taken, self._spare = self._spare[:count], self._spare[count:]
        return taken

    async def notification(self, project: Key, id: str) -> Notification | None:
        return await self._db.read(_by_id, project, id)

    async def load(self, project: Key, keys: Sequence[Key]) -> dict[Key, Notification]:
        found = await self._db.read(read_notifications, project, keys)
        return {each.key: each for each in found}

    async def notifications(self, project: Key, cursor: str | None, limit: int) -> Page[Notification]:
        """See `ports.Trail`; newest first."""
        return await self._db.read(_page, project, int_cursor(cursor, 1), limit)

    async def cancel(self, project: Key, key: Key, now: Millis) -> bool:
        return await self._db.write(_cancel, project, key, now)

    async def fire(self, project: Key, key: Key, now: Millis) -> list[str]:
        return await self._db.write(fire, self._db.dialect, project, key, now)

    async def holders(self, project: Key, first: Key, newest: Key, after: Key, limit: int) -> list[Key]:
        return await self._db.read(holders, self._db.dialect, project, first, newest, after, limit)

    async def standings(self, project: Key, first: Key, users: Sequence[Key]) -> list[Standing]:
        return await self._db.read(standings, self._db.dialect, project, first, users)

    async def progress(self, project: Key, key: Key) -> Progress:
        return await self._db.read(_progress, project, key)

    async def decisions(
        self,
        project: Key,
        *,
        notification: Key | None,
        user: Key | None,
        reason: Reason | None,
        cursor: str | None,
        limit: int,
    ) -> Page[DecisionRecord]:
        after = int_cursor(cursor, 2)
        return await self._db.read(_decisions, project, notification, user, reason, after, limit)

    async def deliveries(
        self,
        project: Key,
        *,
        notification: Key | None,
        user: Key | None,
        state: DeliveryState | None,
        cursor: str | None,
        limit: int,
    ) -> Page[DeliveryRecord]:
        after = int_cursor(cursor, 3)
        return await self._db.read(_deliveries, project, notification, user, state, after, limit)

    async def add_receipts(self, receipts: Sequence[Receipt], now: Millis) -> list[bool]:
        return await self._receipts.add(receipts, now)

    async def receipts_of_user(self, project: Key, user: Key, limit: int) -> list[ReceiptRecord]:
        return await self._db.read(receipts_of_user, project, user, limit)


def _reserve(conn: Connection, dialect: Dialect, count: int) -> list[Key]:
    return dialect.keys(conn, "notification", count)


def _by_id(conn: Connection, project: Key, id: str) -> Notification | None:
    mine = (notification.c.project == project) & (notification.c.id == id)
    row = conn.execute(select(notification).where(mine)).first()
    return to_notification(row) if row is not None else None


def _page(conn: Connection, project: Key, after: tuple[int, ...] | None, limit: int) -> Page[Notification]:
    query = select(notification).where(notification.c.project == project)
    if after is not None:
        query = query.where(notification.c.key < after[0])
    rows = conn.execute(query.order_by(notification.c.key.desc()).limit(limit + 1)).all()
    shown = [to_notification(row) for row in rows[:limit]]
    return Page(items=shown, next_cursor=str(shown[-1].key) if len(rows) > limit else None)


def _cancel(conn: Connection, project: Key, key: Key, now: Millis) -> bool:
    mine = (notification.c.project == project) & (notification.c.key == key) & notification.c.cancelled_at.is_(None)
    if conn.execute(update(notification).where(mine).values(cancelled_at=now)).rowcount == 0:
        return False
    hasten(conn, project, key, now)
    return True


def _progress(conn: Connection, project: Key, key: Key) -> Progress:
    of_decisions = (decision.c.project == project) & (decision.c.notification == key)
    of_deliveries = (delivery.c.project == project) & (delivery.c.notification == key)
    reasons = select(decision.c.reason, func.count().label("total")).where(of_decisions).group_by(decision.c.reason)
    states = select(delivery.c.state, func.count().label("total")).where(of_deliveries).group_by(delivery.c.state)
    due = select(func.min(work.c.due_at)).where(work.c.notification == key, work.c.project == project)
    return Progress(
        reasons={row.reason: row.total for row in conn.execute(reasons)},
        deliveries={DeliveryState(row.state): row.total for row in conn.execute(states)},
        due_at=conn.execute(due).scalar(),
    )


def _decisions(
    conn: Connection,
    project: Key,
    of_notification: Key | None,
    of_user: Key | None,
    reason: Reason | None,
    after: tuple[int, ...] | None,
    limit: int,
) -> Page[DecisionRecord]:
    """Of one notification in order of people, otherwise the newest notification first."""
    digest = notification.alias("of_items")
    within = (digest_item.c.person == decision.c.person) & (digest_item.c.notification == decision.c.notification)
    query = (
        select(
            decision,
            gate_record.c.gates.label("written"),
            notification.c.id.label("notification_id"),
            notification.c.campaign,
            notification.c.updates,
            person.c.id.label("user_id"),
            digest.c.id.label("digest_id"),
        )
        .join(notification, notification.c.key == decision.c.notification)
        .join(gate_record, (gate_record.c.project == project) & (gate_record.c.hash == decision.c.gates))
        .join(person, person.c.key == decision.c.person)
        .join(digest_item, within, isouter=True)
        .join(digest, digest.c.key == digest_item.c.digest, isouter=True)
        .where((decision.c.project if of_user is None else by_other_index(decision.c.project)) == project)
    )
    if of_notification is not None:
        query = query.where(decision.c.notification == of_notification)
    if of_user is not None:
        query = query.where(decision.c.person == of_user)
    if reason is not None:
        query = query.where(decision.c.reason == reason.value)
    keys = (decision.c.notification, decision.c.person)
    query = _paged(query, keys, after, rising=of_notification is not None)
    rows = conn.execute(query.limit(limit + 1)).all()
    more = len(rows) > limit
    last = rows[limit - 1] if more else None
    return Page(
        items=[_decision(row) for row in rows[:limit]],
        next_cursor=f"{last.notification}.{last.person}" if last else None,
    )


def _deliveries(
    conn: Connection,
    project: Key,
    of_notification: Key | None,
    of_user: Key | None,
    state: DeliveryState | None,
    after: tuple[int, ...] | None,
    limit: int,
) -> Page[DeliveryRecord]:
    """Of one notification in order of people, otherwise the newest notification first."""
    same = (
        (decision.c.project == delivery.c.project)
        & (decision.c.notification == delivery.c.notification)
        & (decision.c.person == delivery.c.person)
    )
    # Not a join: of a notification that is new to PostgreSQL's statistics, each row would be joined with all decisions.
    decided = select(decision.c.at).where(same).scalar_subquery().label("created_at")
    names = (notification.c.id.label("notification_id"), person.c.id.label("user_id"), device.c.id.label("device_id"))
    query = (
        select(delivery, decided, *names, stoppage.c.since.label("stopped"), _RESTS.label("paused"))
        .join(notification, notification.c.key == delivery.c.notification)
        .join(person, person.c.key == delivery.c.person)
        .join(device, device.c.key == delivery.c.device, isouter=True)
        .join(stoppage, _holding(), isouter=True)
        .where(delivery.c.project == project)
    )
    if of_notification is not None:
        query = query.where(delivery.c.notification == of_notification)
    if of_user is not None:
        told = select(decision.c.notification).where(decision.c.person == of_user, decision.c.project == project)
        query = query.where(delivery.c.person == of_user, delivery.c.notification.in_(told))
    if state is not None:
        query = query.where(delivery.c.state == int(state))
    keys = (delivery.c.notification, delivery.c.person, delivery.c.device)
    query = _paged(query, keys, after, rising=of_notification is not None)
    rows = conn.execute(query.limit(limit + 1)).all()
    more = len(rows) > limit
    last = rows[limit - 1] if more else None
    return Page(
        items=[_delivery(row) for row in rows[:limit]],
        next_cursor=f"{last.notification}.{last.person}.{last.device}" if last else None,
    )


# Read from there too: a pause writes nothing to what it holds back.
_RESTS = notification.c.paused_at.is_not(None) & notification.c.cancelled_at.is_(None)


def _holding() -> ColumnElement[bool]:
    """The stoppage that a delivery waits for. Read from there, so that a stop writes nothing to what it holds back."""
    where = (stoppage.c.project == delivery.c.project) & (stoppage.c.kind == delivery.c.kind)
    return where & (stoppage.c.lane == device.c.lane) & (delivery.c.state == int(DeliveryState.QUEUED))


def _paged(
    query: Select[Any], keys: tuple[ColumnElement[int], ...], after: tuple[int, ...] | None, *, rising: bool
) -> Select[Any]:
    """In the order of the primary key or exactly against it, so that a page costs what it shows."""
    if after is not None:
        here = tuple_(*keys)
        query = query.where(here > tuple_(*after) if rising else here < tuple_(*after))
    return query.order_by(*(keys if rising else (key.desc() for key in keys)))


def _decision(row: Row[Any]) -> DecisionRecord:
    return DecisionRecord(
        notification_id=row.notification_id,
        user_id=row.user_id,
        reason=Reason(row.reason),
        until=row.until,
        gates=row.written,
        at=row.at,
        revision=row.revision,
        digest_id=row.digest_id,
        campaign=row.campaign,
        notification=row.notification,
        updates=row.updates,
    )


def _delivery(row: Row[Any]) -> DeliveryRecord:
    return DeliveryRecord(
        notification=row.notification,
        notification_id=row.notification_id,
        user_id=row.user_id,
        device=row.device,
        device_id=row.device_id or "",
        kind=DeviceKind(row.kind),
        state=DeliveryState(row.state),
        reason=_waits_for(row) or (Reason(row.reason) if row.reason else None),
        provider_id=row.provider_id,
        attempts=row.attempts,
        created_at=row.updated_at if row.created_at is None else row.created_at,
        updated_at=row.updated_at,
    )


def _waits_for(row: Row[Any]) -> Reason | None:
    if row.paused and row.state == DeliveryState.QUEUED.value:
        return Reason.PAUSED
    return Reason.PROVIDER_DOWN if row.stopped is not None else None
