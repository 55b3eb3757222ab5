"""Updates of notifications that were sent: which one counts, and who has the first, or one of them, on a screen."""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from clarion.model import DeliveryState, Key, Notification, Reason, Update, UpdateKind
from clarion.ports import Standing
from clarion.storage.database import Dialect
from clarion.storage.schema import notification
from clarion.storage.work import hasten

_HAD_IT = ", ".join(f"'{reason}'" for reason in (Reason.SEND, Reason.SUPERSEDED))
_HOLDERS = f"""
FROM decision d WHERE d.project = ? AND d.notification = ? AND d.person > ? AND d.reason IN ({_HAD_IT})
AND NOT EXISTS (SELECT 1 FROM decision n WHERE n.project = d.project AND n.notification = ? AND n.person = d.person)
ORDER BY d.person LIMIT ?
"""  # noqa: S608 - our own words


def supersede(conn: Connection, new: Notification, changes: Update) -> None:
    """From now on the new one counts; what is withdrawn is cancelled too, as far as it was not sent."""
    first = (notification.c.project == new.project) & (notification.c.key == changes.first)
    # Of two at once the second waits here, and sees the first below.
    conn.execute(select(notification.c.key).where(first).with_for_update())
    older = (notification.c.project == new.project) & (notification.c.updates == changes.first)
    older &= notification.c.key != new.key
    for those in (first, older):
        conn.execute(update(notification).where(those).values(updated_by=new.key))
    if changes.kind is UpdateKind.WITHDRAW:
        conn.execute(
            update(notification).where(first, notification.c.cancelled_at.is_(None)).values(cancelled_at=new.created_at)
        )
        # What waits of them, for whatever, is looked at now: none of it will be sent.
        for key in (changes.first, *conn.execute(select(notification.c.key).where(older)).scalars().all()):
            hasten(conn, new.project, key, new.created_at)


def holders(
    conn: Connection, dialect: Dialect, project: Key, first: Key, newest: Key, after: Key, limit: int
) -> list[Key]:
    """See `ports.Trail.holders`: along the key of the first one's decisions."""
    rows = dialect.rows(conn, ("d.person",), _HOLDERS, project, first, after, newest, limit)
    return [person for (person,) in rows]


def standings(conn: Connection, dialect: Dialect, project: Key, first: Key, users: Sequence[Key]) -> list[Standing]:
    """See `ports.Trail.standings`."""
    family = select(notification.c.key).where(
        notification.c.project == project, (notification.c.key == first) | (notification.c.updates == first)
    )
    keys = list(conn.execute(family).scalars())
    within = dialect.within("bigint")
    rest = f"FROM delivery WHERE project = ? AND notification {within} AND person {within}"
    columns = ("notification", "person", "device", "state", "reason")
    rows = dialect.rows(conn, columns, rest, project, dialect.listed(keys), dialect.listed(users))
    return [
        Standing(notification, person, device, DeliveryState(state), Reason(reason) if reason else None)
        for notification, person, device, state, reason in rows
    ]
