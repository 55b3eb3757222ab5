"""What devices told: each receipt counts once, and moves its delivery forward, never back."""

from collections.abc import Collection, Hashable, Sequence
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Connection, select

from clarion.model import STATE_OF_RECEIPT, DeliveryState, Key, Millis, Receipt
from clarion.ports import ReceiptRecord
from clarion.storage.coalesce import Coalescer
from clarion.storage.database import Columns, Database, Dialect, by_other_index, columns_of
from clarion.storage.merging import aliases
from clarion.storage.schema import decision, delivery, receipt

_ReceiptKey: TypeAlias = tuple[Key, Key, Key, Key, str, str]

_DELIVERY_KEY = columns_of(delivery, "project", "notification", "person", "device")
_RECEIPT_KEY = columns_of(receipt, "project", "notification", "person", "device", "kind", "action")
_RECEIPT = columns_of(receipt)
_DELIVERY = columns_of(delivery)
_STATE = columns_of(delivery, "project", "notification", "person", "device", "state", "updated_at")
_FORWARD = """
UPDATE delivery SET state = batch.state, reason = NULL, updated_at = batch.updated_at FROM batch
WHERE delivery.project = batch.project AND delivery.notification = batch.notification
AND delivery.person = batch.person AND delivery.device = batch.device AND delivery.state < batch.state
"""
_FIRED = """
FROM batch
JOIN notification n ON n.key = batch.notification AND n.project = batch.project AND n.fired_at IS NOT NULL
JOIN person p ON p.key = batch.person AND p.project = batch.project
JOIN device d ON d.key = batch.device AND d.project = batch.project
"""


class ReceiptWriter:
    """Writes the receipts of concurrent callers in one batch."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._together = Coalescer(self._write)

    async def add(self, receipts: Sequence[Receipt], now: Millis) -> list[bool]:
        """See `ports.Trail.add_receipts`."""
        return await self._together(None, [(receipt, now) for receipt in receipts])

    async def _write(self, _: Hashable, receipts: Sequence[tuple[Receipt, Millis]]) -> list[bool]:
        return await self._db.write(_add, self._db.dialect, receipts)


def receipts_of_user(conn: Connection, project: Key, user: Key, limit: int) -> list[ReceiptRecord]:
    """Of all deliveries to a person, newest first."""
    same = (
        (receipt.c.project == decision.c.project)
        & (receipt.c.notification == decision.c.notification)
        & (receipt.c.person == decision.c.person)
    )
    told = (by_other_index(decision.c.project) == project) & (decision.c.person == user)
    query = select(receipt).join(decision, same).where(told)
    rows = conn.execute(query.order_by(receipt.c.at.desc(), receipt.c.notification.desc()).limit(limit))
    return [
        ReceiptRecord(
            notification=row.notification, device=row.device, kind=row.kind, action=row.action or None, at=row.at
        )
        for row in rows
    ]


def _add(conn: Connection, dialect: Dialect, receipts: Sequence[tuple[Receipt, Millis]]) -> list[bool]:
    told = _of_deliveries(conn, dialect, [receipt for receipt, _ in receipts])
    seen = _known(conn, dialect, "receipt", _RECEIPT_KEY, {_key(each) for each in told if each is not None})
    new, rows = [], []
    reached: dict[tuple[Key, ...], tuple[int, Millis]] = {}
    for each, (_, now) in zip(told, receipts, strict=True):
        key = None if each is None else _key(each)
        new.append(key is not None and key not in seen)
        if each is None or key is None or key in seen:
            continue
        seen.add(key)
        rows.append((*key, each.at))
        delivery = key[:4]
        reached[delivery] = max(reached.get(delivery, (0, 0)), (int(STATE_OF_RECEIPT[each.kind]), now))
    if rows:
        dialect.insert(conn, "receipt", _RECEIPT, sorted(rows))
        states = [(*delivery, state, now) for delivery, (state, now) in sorted(reached.items())]
        dialect.apply(conn, _FORWARD, _STATE, states)
    return new


def _of_deliveries(conn: Connection, dialect: Dialect, receipts: Sequence[Receipt]) -> list[Receipt | None]:
    """Receipts whose delivery is there, perhaps under the person that theirs was merged into; None for the others."""
    there = _known(conn, dialect, "delivery", _DELIVERY_KEY, {_key(each)[:4] for each in receipts})
    if any(_key(each)[:4] not in there for each in receipts):
        receipts = _moved(conn, receipts)
        there |= _known(conn, dialect, "delivery", _DELIVERY_KEY, {_key(each)[:4] for each in receipts})
    if missing := {_key(each)[:4] for each in receipts} - there:
        there |= _begun(conn, dialect, missing)
    return [each if _key(each)[:4] in there else None for each in receipts]


def _begun(conn: Connection, dialect: Dialect, missing: Collection[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
    """Of a fired notification a device may tell before what was sent is written: these deliveries begin here."""
    names = ("batch.project", "batch.notification", "batch.person", "batch.device", "d.kind")
    told = dialect.joined(conn, names, _FIRED, _DELIVERY_KEY, sorted(missing))
    if told:
        state = int(DeliveryState.ACCEPTED)
        dialect.insert(conn, "delivery", _DELIVERY, [(*key, state, None, None, 1, 0) for key in sorted(told)])
    return {key[:4] for key in told}


def _moved(conn: Connection, receipts: Sequence[Receipt]) -> list[Receipt]:
    present: dict[Key, Key] = {}
    for project in {each.project for each in receipts}:
        present |= aliases(conn, project, {each.user for each in receipts if each.project == project})
    return [msgspec.structs.replace(each, user=present.get(each.user, each.user)) for each in receipts]


def _key(each: Receipt) -> _ReceiptKey:
    kind, action = each.kind.value, each.action or ""
    return (each.project, each.notification, each.user, each.device, kind, action)


def _known(
    conn: Connection, dialect: Dialect, table: str, key: Columns, wanted: Collection[tuple[Any, ...]]
) -> set[tuple[Any, ...]]:
    """Which of these keys a table has."""
    same = " AND ".join(f"t.{column} = batch.{column}" for column in key)
    names = [f"t.{column}" for column in key]
    return set(dialect.joined(conn, names, f"FROM batch JOIN {table} t ON {same}", key, sorted(wanted)))
