"""People who are not there any more, or lost a device, remembered for a while: what is on its way still names them."""

from sqlalchemy import Connection, delete, insert, select

from clarion.model import DAY_MS, Key, Millis
from clarion.storage.database import Dialect, columns_of
from clarion.storage.schema import departed, handed_on

_KEPT_MS = 8 * DAY_MS
"""Longer than anything is armed."""
_HANDED_ON = columns_of(handed_on)


def depart(conn: Connection, project: Key, person: Key, successor: Key | None, now: Millis) -> None:
    """Remember that a person was merged into another, or, without one, erased; forget who went long ago."""
    old = (departed.c.project == project) & (departed.c.at < now - _KEPT_MS)
    conn.execute(delete(departed).where(old))
    conn.execute(insert(departed).values(project=project, at=now, person=person, successor=successor))


def merged_since(conn: Connection, project: Key, span: tuple[Key, Key], since: Millis) -> dict[Key, Key]:
    """Former key → who they turned out to be, of the keys of a span."""
    mine = (departed.c.project == project) & (departed.c.at >= since)
    query = select(departed.c.person, departed.c.successor).where(
        mine, departed.c.person.between(*span), departed.c.successor.is_not(None)
    )
    return {row.person: row.successor for row in conn.execute(query)}


def gone_since(conn: Connection, project: Key, since: Millis) -> dict[Key, tuple[Key | None, Millis]]:
    """Person → who they turned out to be, None for the erased, and when."""
    query = select(departed).where(departed.c.project == project, departed.c.at >= since)
    return {row.person: (row.successor, row.at) for row in conn.execute(query.order_by(departed.c.at))}


def hand_on(conn: Connection, dialect: Dialect, project: Key, person: Key, now: Millis) -> None:
    """Remember that a device of a person went to somebody else, where its row names the new owner alone."""
    old = (handed_on.c.project == project) & (handed_on.c.at < now - _KEPT_MS)
    conn.execute(delete(handed_on).where(old))
    dialect.insert(conn, "handed_on", _HANDED_ON, [(project, now, person)])
