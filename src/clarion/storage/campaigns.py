"""Campaigns in rows: changed as they were read or not at all, with all that goes with it in one transaction."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, delete, func, select, update

from clarion.model import CampaignGoal, CampaignRecord, DeliveryState, Key, Millis, Notification
from clarion.ports import CampaignRuns, Effects, Page, Reached
from clarion.storage.database import Database, Dialect, upsert
from clarion.storage.effects import write
from clarion.storage.pausing import cancel, pause, resume
from clarion.storage.requests import to_notification
from clarion.storage.schema import campaign, decision, delivery, event, notification, person, work

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(CampaignRecord).decode
_RUNS: Mapping[CampaignRuns, Callable[[Connection, Key, tuple[Key, ...], Millis], None]] = {
    CampaignRuns.PAUSE: pause,
    CampaignRuns.RESUME: resume,
    CampaignRuns.CANCEL: cancel,
}


class SqlCampaigns:
    """See `ports.Campaigns`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, record: CampaignRecord) -> bool:
        return await self._db.write(_add, record)

    async def get(self, project: Key, name: str) -> CampaignRecord | None:
        found = await self._db.read(_records, _named(project, name))
        return found[0] if found else None

    async def page(self, project: Key, cursor: str | None, limit: int) -> Page[CampaignRecord]:
        """In order of names; the cursor is the last name of the page before."""
        query = _ALL.where(campaign.c.project == project, campaign.c.name > (cursor or ""))
        found = await self._db.read(_records, query.order_by(campaign.c.name).limit(limit + 1))
        return Page(found[:limit], found[limit - 1].campaign.name if len(found) > limit else None)

    async def change(
        self, before: CampaignRecord, after: CampaignRecord, effects: Effects, runs: CampaignRuns | None, now: Millis
    ) -> bool:
        return await self._db.write(_change, self._db.dialect, before, after, effects, runs, now)

    async def delete(self, before: CampaignRecord) -> bool:
        return await self._db.write(_delete, before)

    async def due(self, now: Millis, limit: int) -> list[CampaignRecord]:
        query = _ALL.where(campaign.c.due_at <= now).order_by(campaign.c.due_at).limit(limit)
        return await self._db.read(_records, query)

    async def running(self) -> list[CampaignRecord]:
        return await self._db.read(_records, _ALL.where(campaign.c.state == "running"))

    async def unfinished(self, project: Key, runs: Sequence[Key]) -> set[Key]:
        return await self._db.read(_unfinished, project, runs)

    async def runs_of(self, project: Key, name: str, after: Key, limit: int) -> list[Notification]:
        return await self._db.read(_runs_of, project, name, after, limit)

    async def people(self, project: Key) -> int:
        return await self._db.read(_people, project)

    async def reached(self, project: Key, runs: Sequence[Key], goal: CampaignGoal | None) -> Reached:
        return await self._db.read(_reached, project, runs, goal)


_ALL: Select[Any] = select(campaign.c.record)


def _named(project: Key, name: str) -> Select[Any]:
    return _ALL.where(campaign.c.project == project, campaign.c.name == name)


def _records(conn: Connection, query: Select[Any]) -> list[CampaignRecord]:
    return [_decode(text) for text in conn.execute(query).scalars()]


def _values(record: CampaignRecord) -> dict[str, Any]:
    told = {"state": record.state.value, "due_at": record.due_at, "changed": record.changed}
    return {**told, "record": _encode(record).decode()}


def _add(conn: Connection, record: CampaignRecord) -> bool:
    row = {"project": record.project, "name": record.campaign.name, **_values(record)}
    added = upsert(conn, campaign).values(row).on_conflict_do_nothing().returning(campaign.c.name)
    return conn.execute(added).first() is not None


def _as_read(before: CampaignRecord) -> Any:
    mine = (campaign.c.project == before.project) & (campaign.c.name == before.campaign.name)
    return mine & (campaign.c.changed == before.changed)


def _change(
    conn: Connection,
    dialect: Dialect,
    before: CampaignRecord,
    after: CampaignRecord,
    effects: Effects,
    runs: CampaignRuns | None,
    now: Millis,
) -> bool:
    if conn.execute(update(campaign).where(_as_read(before)).values(_values(after))).rowcount == 0:
        return False
    if runs is not None and before.open:
        _RUNS[runs](conn, before.project, before.open, now)
    return write(conn, dialect, effects, None, now)


def _delete(conn: Connection, before: CampaignRecord) -> bool:
    return conn.execute(delete(campaign).where(_as_read(before))).rowcount > 0


def _unfinished(conn: Connection, project: Key, runs: Sequence[Key]) -> set[Key]:
    waiting = select(work.c.notification).where(work.c.notification.in_(runs), work.c.project == project)
    return set(conn.execute(waiting.distinct()).scalars())


def _runs_of(conn: Connection, project: Key, name: str, after: Key, limit: int) -> list[Notification]:
    mine = (notification.c.project == project) & (notification.c.campaign == name) & (notification.c.key > after)
    rows: Sequence[Row[Any]] = conn.execute(
        select(notification).where(mine).order_by(notification.c.key.desc()).limit(limit)
    ).all()
    return [to_notification(row) for row in rows]


def _people(conn: Connection, project: Key) -> int:
    return conn.execute(select(func.count()).where(person.c.project == project)).scalar_one()


def _reached(conn: Connection, project: Key, runs: Sequence[Key], goal: CampaignGoal | None) -> Reached:
    """People, each once. The goal is looked for among its own events since the first decision, which are few."""
    clicked = (delivery.c.project == project) & delivery.c.notification.in_(runs)
    clicked &= delivery.c.state == DeliveryState.CLICKED.value
    tapped = conn.execute(select(func.count(delivery.c.person.distinct())).where(clicked)).scalar_one()
    if goal is None or not runs:
        return Reached(tapped, None if goal is None else 0)
    begun = select(func.min(func.coalesce(notification.c.send_at, notification.c.created_at)))
    since = conn.execute(begun.where(notification.c.project == project, notification.c.key.in_(runs))).scalar() or 0
    happened = (event.c.project == project) & (event.c.name == goal.event) & (event.c.occurred_at >= since)
    sent = (decision.c.project == project) & decision.c.notification.in_(runs) & (decision.c.reason == "send")
    in_time = (event.c.occurred_at >= decision.c.at) & (event.c.occurred_at < decision.c.at + goal.within * 1000)
    told = select(func.count(event.c.person.distinct())).select_from(
        event.join(decision, decision.c.person == event.c.person)
    )
    return Reached(tapped, conn.execute(told.where(happened, sent, in_time)).scalar_one())
