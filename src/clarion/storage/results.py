"""Counts for experiments: one walk along the decisions of a notification, with a look at what each person did."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, func, select

from clarion.model import DeliveryState, Goal, Key, Millis, Notification, Reason, ReceiptKind
from clarion.ports import Chosen, Counted
from clarion.storage.database import Database, by_other_index, upsert
from clarion.storage.person_events import some_meet
from clarion.storage.schema import decision, delivery, experiment_winner, gate_record, receipt


class SqlResults:
    """See `ports.Results`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def count(self, notification: Notification, now: Millis) -> list[Counted]:
        return await self._db.read(_count, notification, now)

    async def choose(self, project: Key, notification: Key, chosen: Chosen) -> Chosen:
        return await self._db.write(_choose, project, notification, chosen)

    async def chosen(self, project: Key, notification: Key) -> Chosen | None:
        return await self._db.read(_chosen, project, notification)


def _count(conn: Connection, about: Notification, now: Millis) -> list[Counted]:
    """Looks by the primary key, for each person, and no joins.

    Of a notification that is new to PostgreSQL's statistics, a join would pair each person with all deliveries. What is
    looked at is what is grouped by, so that each look is taken once.
    """
    goal = about.message.goal
    since = decision.c.at if about.fired_at is None else _later(decision.c.at, about.fired_at)
    until = since + goal.within_s * 1000
    furthest = select(func.max(delivery.c.state)).where(_same_person(delivery)).scalar_subquery()
    alike = (
        decision.c.gates,
        decision.c.reason,
        _one_if(until <= now).label("settled"),
        furthest.label("furthest"),
        _one_if(_succeeded(conn, goal, since, until)).label("success"),
    )
    people = (
        select(*alike, func.count().label("people"))
        .where(
            decision.c.project == about.project,
            decision.c.notification == about.key,
            decision.c.reason.in_((Reason.SEND.value, Reason.HOLDOUT.value)),
        )
        .group_by(*alike)
        .subquery("alike")
    )
    written = (gate_record.c.project == about.project) & (gate_record.c.hash == people.c.gates)
    rows = conn.execute(select(people, gate_record.c.gates.label("written")).join(gate_record, written))
    return [_counted(row) for row in rows]


def _counted(row: Row[Any]) -> Counted:
    """People who are alike in all that is asked of them."""
    people, settled, success = row.people, bool(row.settled), bool(row.success)
    furthest = DeliveryState.QUEUED if row.furthest is None else row.furthest
    return Counted(
        gates=row.written,
        reason=Reason(row.reason),
        people=people,
        settled=people * settled,
        reached=people * (furthest >= DeliveryState.ACCEPTED),
        delivered=people * (furthest >= DeliveryState.DELIVERED),
        clicked=people * (furthest >= DeliveryState.CLICKED),
        successes=people * success,
        settled_successes=people * (settled and success),
    )


def _succeeded(
    conn: Connection, goal: Goal, since: ColumnElement[int], until: ColumnElement[int]
) -> ColumnElement[bool]:
    if goal.event is None:
        clicks = _same_person(receipt) & (receipt.c.kind == ReceiptKind.CLICKED.value)
        return select(receipt.c.at).where(clicks, receipt.c.at >= since, receipt.c.at < until).exists()

    def meets(of: Any) -> list[ColumnElement[bool]]:
        theirs = [of.c.person == decision.c.person, by_other_index(of.c.project) == decision.c.project]
        return [*theirs, of.c.name == goal.event, of.c.occurred_at >= since, of.c.occurred_at < until]

    return some_meet(conn, meets)


def _same_person(table: Any) -> ColumnElement[bool]:
    mine: ColumnElement[bool] = (
        (table.c.project == decision.c.project)
        & (table.c.notification == decision.c.notification)
        & (table.c.person == decision.c.person)
    )
    return mine


def _later(one: ColumnElement[int], other: int) -> ColumnElement[int]:
    return case((one > other, one), else_=other)


def _one_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)


def _choose(conn: Connection, project: Key, about: Key, chosen: Chosen) -> Chosen:
    told = {"project": project, "notification": about, "variant": chosen.variant, "at": chosen.at}
    conn.execute(upsert(conn, experiment_winner).values(**told).on_conflict_do_nothing())
    return _chosen(conn, project, about) or chosen


def _chosen(conn: Connection, project: Key, about: Key) -> Chosen | None:
    table = experiment_winner
    mine = (table.c.project == project) & (table.c.notification == about)
    row = conn.execute(select(table.c.variant, table.c.at).where(mine)).one_or_none()
    return None if row is None else Chosen(row.variant, row.at)
