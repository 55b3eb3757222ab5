"""The ledger of what people allowed: lines are only ever added, the last one about a category and channel counts."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from clarion.model import Channel, Consent, Key
from clarion.storage.database import Database
from clarion.storage.merging import present
from clarion.storage.schema import consent


class SqlConsents:
    """See `ports.Consents`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def append(self, project: Key, lines: Sequence[Consent]) -> None:
        if lines:
            await self._db.write(_append, project, lines)

    async def of_user(self, project: Key, user: Key) -> list[Consent]:
        return await self._db.read(_of_user, project, user)


def _append(conn: Connection, project: Key, lines: Sequence[Consent]) -> None:
    now = present(conn, project, {line.user for line in lines})
    rows = [
        {
            "project": project,
            "person": now[line.user],
            "category": line.category,
            "channel": line.channel.value,
            "granted": line.granted,
            "source": line.source,
            "wording": line.wording,
            "at": line.at,
        }
        for line in lines
        if line.user in now
    ]
    if rows:
        conn.execute(insert(consent), rows)


def _of_user(conn: Connection, project: Key, user: Key) -> list[Consent]:
    mine = (consent.c.project == project) & (consent.c.person == user)
    return [
        Consent(
            user=row.person,
            category=row.category,
            channel=Channel(row.channel),
            granted=row.granted,
            source=row.source,
            wording=row.wording,
            at=row.at,
        )
        for row in conn.execute(select(consent).where(mine).order_by(consent.c.key))
    ]
