"""The ledger of what people allowed: lines are only ever added, the last one about a category and channel counts."""

from collections.abc import Sequence
from itertools import compress
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select

from clarion.model import Channel, Consent, Key
from clarion.ports import last_said, opt_outs, told_news
from clarion.storage.database import Database, by_other_index
from clarion.storage.losses import add_losses
from clarion.storage.merging import present
from clarion.storage.schema import consent, person


class SqlConsents:
    """See `ports.Consents`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def append(self, project: Key, lines: Sequence[Consent]) -> None:
        if lines:
            await self._db.write(_append, project, lines)

    async def take_over(self, project: Key, lines: Sequence[Consent]) -> list[bool]:
        return await self._db.write(_take_over, project, lines) if lines else []

    async def of_user(self, project: Key, user: Key) -> list[Consent]:
        return await self._db.read(_of_user, project, user)


def add_lines(conn: Connection, project: Key, lines: Sequence[Consent]) -> None:
    """Write lines of people who are there now."""
    if lines:
        conn.execute(insert(consent), [_values(project, line) for line in lines])


def _append(conn: Connection, project: Key, lines: Sequence[Consent]) -> None:
    now = present(conn, project, {line.user for line in lines})
    said = [msgspec.structs.replace(line, user=now[line.user]) for line in lines if line.user in now]
    add_lines(conn, project, said)
    add_losses(conn, project, opt_outs(said))


def _take_over(conn: Connection, project: Key, lines: Sequence[Consent]) -> list[bool]:
    """Whoever says something meanwhile waits, so that what is told here never comes after it."""
    named = sorted({line.user for line in lines})
    whom = select(person.c.key).where(person.c.project == project, person.c.key.in_(named))
    conn.execute(whom.order_by(person.c.key).with_for_update()).all()
    now = present(conn, project, named)
    told = [msgspec.structs.replace(line, user=now[line.user]) for line in lines if line.user in now]
    mine = (by_other_index(consent.c.project) == project) & consent.c.person.in_(sorted(set(now.values())))
    ledger = [_read(row) for row in conn.execute(select(consent).where(mine).order_by(consent.c.key))]
    news = told_news(told, last_said(ledger))
    add_lines(conn, project, sorted(compress(told, news), key=lambda line: line.said_at or line.at))
    told_news_of = iter(news)
    return [line.user in now and next(told_news_of) for line in lines]


def _of_user(conn: Connection, project: Key, user: Key) -> list[Consent]:
    mine = (consent.c.project == project) & (consent.c.person == user)
    return [_read(row) for row in conn.execute(select(consent).where(mine).order_by(consent.c.key))]


def _values(project: Key, line: Consent) -> dict[str, Any]:
    return {
        "project": project,
        "person": line.user,
        "category": line.category,
        "channel": line.channel.value,
        "granted": line.granted,
        "source": line.source,
        "wording": line.wording,
        "wording_version": line.wording_version,
        "said_at": line.said_at,
        "at": line.at,
    }


def _read(row: Row[Any]) -> Consent:
    return Consent(
        user=row.person,
        category=row.category,
        channel=Channel(row.channel),
        granted=row.granted,
        source=row.source,
        wording=row.wording,
        wording_version=row.wording_version,
        said_at=row.said_at,
        at=row.at,
    )
