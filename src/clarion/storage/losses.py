"""People who said no, and what messages came to by day: a few rows a person, and one pass over a day's deliveries."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, or_, select

from clarion.model import DAY_MS, Channel, DeliveryState, DeviceKind, DeviceState, Key, Millis
from clarion.ports import MOST_NAMES, REACHED, Dimension, Loss, LossAlert, LossCount, LossKind, Touch
from clarion.storage.database import Columns, Database, Dialect, by_other_index, columns_of, upsert
from clarion.storage.database import Row as Values
from clarion.storage.schema import decision, delivery, loss, loss_alert, loss_count, notification

_SPREAD_MS: Final = 300_000
"""A key may be handed out so much before or after one that is smaller: two machines, and keys fetched ahead."""
_PEOPLE_AT_ONCE: Final = 1_000
_COUNTED: Final = ("reached", "delivered", "tapped", "lost", "opt_outs", "permissions", "subscriptions")
_NAME: Final[Mapping[str, Mapping[Dimension, str]]] = {
    "sqlite": {
        Dimension.CATEGORY: "json_extract(request, '$.message.category')",
        Dimension.TEMPLATE: "json_extract(request, '$.message.template')",
        Dimension.CAMPAIGN: "COALESCE(campaign, automation, id)",
    },
    "postgresql": {
        Dimension.CATEGORY: "CAST(request AS json) #>> '{message,category}'",
        Dimension.TEMPLATE: "CAST(request AS json) #>> '{message,template}'",
        Dimension.CAMPAIGN: "COALESCE(campaign, automation, id)",
    },
}
# Names are read once a notification, people once for all of their devices and messages of one name. The order of the
# joins is told: a day's notifications first, then the deliveries of each by the primary key.
_REACHED_THAT_DAY = f"""
FROM (
    WITH told AS MATERIALIZED (
        SELECT key, {{name}} AS name FROM notification
        WHERE project = ? AND key >= ? AND key < ? AND created_at >= ? AND created_at < ?
        AND send_at IS NULL AND fired_at IS NULL
        UNION ALL SELECT key, {{name}} FROM notification
        WHERE project = ? AND send_at >= ? AND send_at < ? AND send_at IS NOT NULL AND fired_at IS NULL
        UNION ALL SELECT key, {{name}} FROM notification
        WHERE project = ? AND fired_at >= ? AND fired_at < ? AND fired_at IS NOT NULL
    ), people AS (
        SELECT told.name AS name, d.person AS person, MAX(d.state) AS best
        FROM told CROSS JOIN delivery d
        WHERE d.project = ? AND d.notification = told.key AND d.state >= {REACHED.value} AND told.name IS NOT NULL
        GROUP BY told.name, d.person
    )
    SELECT name, COUNT(*) AS reached,
    SUM(CASE WHEN best >= {DeliveryState.DELIVERED.value} THEN 1 ELSE 0 END) AS delivered,
    SUM(CASE WHEN best = {DeliveryState.CLICKED.value} THEN 1 ELSE 0 END) AS tapped
    FROM people GROUP BY name ORDER BY reached DESC, name LIMIT {MOST_NAMES}
) AS counted
"""  # noqa: S608 - our own words
_DECIDED = columns_of(delivery, "project", "notification", "person")
_THEIRS = f"""
FROM batch JOIN delivery d
ON d.project = batch.project AND d.notification = batch.notification AND d.person = batch.person
WHERE d.state >= {REACHED.value}
"""
# Before the verdict is written: a device that was retired already is not lost again.
_RETIRE = f"""
INSERT INTO loss (project, at, person, kind, category, channel, device)
SELECT device.project, batch.updated_at, device.person, '{LossKind.SUBSCRIPTION.value}', '',
CASE WHEN device.kind IN ('email', 'sms', 'inbox') THEN device.kind ELSE 'push' END, device.key
FROM batch JOIN device ON device.key = batch.key AND device.project = batch.project
WHERE batch.state = '{DeviceState.RETIRED.value}' AND device.registered_at <= batch.registered_at
AND device.state IN ('{DeviceState.ACTIVE.value}', '{DeviceState.QUARANTINED.value}')
ON CONFLICT DO NOTHING
"""  # noqa: S608 - our own words


class SqlLosses:
    """See `ports.Losses`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def since(self, project: Key, since: Millis) -> list[Loss]:
        return await self._db.read(_losses, loss.c.project == project, loss.c.at >= since)

    async def of_user(self, project: Key, user: Key) -> list[Loss]:
        mine = by_other_index(loss.c.project) == project
        return await self._db.read(_losses, mine, loss.c.person == user)

    async def touches(self, project: Key, users: Collection[Key], since: Millis) -> list[Touch]:
        """See `ports.Losses`; a thousand people a query."""
        people, found = sorted(set(users)), list[Touch]()
        for start in range(0, len(people), _PEOPLE_AT_ONCE):
            some = people[start : start + _PEOPLE_AT_ONCE]
            found += await self._db.read(_touches, self._db.dialect, project, some, since)
        return found

    async def reached(self, project: Key, day: Millis) -> list[LossCount]:
        return await self._db.read(_reached, self._db.dialect, project, day)

    async def put(self, project: Key, since: Millis, counts: Sequence[LossCount]) -> None:
        await self._db.write(_put, project, since, counts)

    async def sums(self, project: Key, dimension: Dimension, since: Millis, until: Millis) -> list[LossCount]:
        return await self._db.read(_sums, project, dimension, since, until)

    async def alerts(self, project: Key | None = None) -> list[LossAlert]:
        return await self._db.read(_alerts, project)

    async def put_alerts(self, project: Key, alerts: Sequence[LossAlert]) -> tuple[list[LossAlert], list[LossAlert]]:
        return await self._db.write(_put_alerts, project, alerts)

    async def forget(self, project: Key, losses_before: Millis, counts_before: Millis) -> None:
        await self._db.write(_forget, project, losses_before, counts_before)


def add_losses(conn: Connection, project: Key, losses: Sequence[Loss]) -> None:
    """Write down who said no, in the transaction of what says so."""
    if losses:
        conn.execute(upsert(conn, loss).on_conflict_do_nothing(), [_row(project, each) for each in losses])


def add_retired(conn: Connection, dialect: Dialect, columns: Columns, verdicts: Sequence[Values]) -> None:
    """Write down whose devices these verdicts end, before they are written themselves."""
    dialect.apply(conn, _RETIRE, columns, verdicts)


def _row(project: Key, each: Loss) -> dict[str, Any]:
    return {
        "project": project,
        "at": each.at,
        "person": each.user,
        "kind": each.kind.value,
        "category": each.category or "",
        "channel": each.channel.value,
        "device": each.device or 0,
    }


def _losses(conn: Connection, *conditions: ColumnElement[bool]) -> list[Loss]:
    found = select(loss).where(*conditions).order_by(loss.c.at, loss.c.person, loss.c.kind, loss.c.category)
    return [
        Loss(
            user=row.person,
            at=row.at,
            kind=LossKind(row.kind),
            channel=Channel(row.channel),
            category=row.category or None,
            device=row.device or None,
        )
        for row in conn.execute(found)
    ]


def _touches(conn: Connection, dialect: Dialect, project: Key, people: Sequence[Key], since: Millis) -> list[Touch]:
    """What was decided for each of them by the index of decisions, then its deliveries by their whole key.

    Not as one join: of a day that is new to PostgreSQL's statistics, all deliveries would be joined with all decisions.
    """
    fires = select(notification.c.key, notification.c.fired_at)
    fires = fires.where(notification.c.project == project, notification.c.fired_at >= since)
    fired: dict[Key, Millis] = {row.key: row.fired_at for row in conn.execute(fires)}
    mine = (by_other_index(decision.c.project) == project) & decision.c.person.in_(people)
    decided = select(decision.c.notification, decision.c.person, decision.c.at)
    decided = decided.where(mine, or_(decision.c.at >= since, decision.c.notification.in_(list(fired))))
    sent = {(key, who): max(at, fired.get(key, at)) for key, who, at in conn.execute(decided)}
    names = ("d.notification", "d.person", "d.device", "d.kind")
    batch = [(project, *about) for about in sorted(sent)]
    return [
        Touch(key, who, device, DeviceKind(kind), sent[key, who])
        for key, who, device, kind in dialect.joined(conn, names, _THEIRS, _DECIDED, batch)
    ]


def _reached(conn: Connection, dialect: Dialect, project: Key, day: Millis) -> list[LossCount]:
    end = day + DAY_MS
    first = _first_key(conn, dialect, project, day - _SPREAD_MS)
    last = _first_key(conn, dialect, project, end + _SPREAD_MS)
    values = (project, first, last, day, end, project, day, end, project, day, end, project)
    found = []
    for dimension, name in _NAME[conn.dialect.name].items():
        columns = ("name", "reached", "delivered", "tapped")
        for told, *numbers in dialect.rows(conn, columns, _REACHED_THAT_DAY.format(name=name), *values):
            counts = dict(zip(columns[1:], map(int, numbers), strict=True))
            found.append(LossCount(dimension=dimension, name=told, day=day, **counts))
    return found


def _first_key(conn: Connection, dialect: Dialect, project: Key, at: Millis) -> Key:
    """Where a project's notifications of a time begin, by halving: keys rise with time, so no index by time is kept."""
    ends = [
        dialect.rows(conn, ("key", "created_at"), f"FROM notification WHERE project = ? {end}", project)
        for end in ("ORDER BY key LIMIT 1", "ORDER BY key DESC LIMIT 1")
    ]
    if not ends[0]:
        return 0
    [(low, _)], [(high, newest)] = ends
    high += 1
    if newest < at:
        return int(high)
    while low < high:
        middle = (low + high) // 2
        rest = "FROM notification WHERE project = ? AND key >= ? ORDER BY key LIMIT 1"
        [(key, created_at)] = dialect.rows(conn, ("key", "created_at"), rest, project, middle)
        if created_at < at:
            low = key + 1
        else:
            high = middle
    return int(low)


def _put(conn: Connection, project: Key, since: Millis, counts: Sequence[LossCount]) -> None:
    for dimension in Dimension:
        mine = (loss_count.c.project == project) & (loss_count.c.dimension == dimension.value)
        conn.execute(delete(loss_count).where(mine, loss_count.c.day >= since))
    if counts:
        rows = [
            {"project": project, "dimension": each.dimension.value, "day": each.day, "name": each.name}
            | {name: getattr(each, name) for name in _COUNTED}
            for each in counts
        ]
        conn.execute(upsert(conn, loss_count).on_conflict_do_nothing(), rows)


def _sums(conn: Connection, project: Key, dimension: Dimension, since: Millis, until: Millis) -> list[LossCount]:
    mine = (loss_count.c.project == project) & (loss_count.c.dimension == dimension.value)
    days = (loss_count.c.day >= since) & (loss_count.c.day < until)
    sums = [func.sum(loss_count.c[name]).label(name) for name in _COUNTED]
    query = select(loss_count.c.name, *sums).where(mine, days).group_by(loss_count.c.name).order_by(loss_count.c.name)
    return [
        LossCount(dimension=dimension, name=row.name, day=since, **{name: int(getattr(row, name)) for name in _COUNTED})
        for row in conn.execute(query)
    ]


def _alerts(conn: Connection, project: Key | None) -> list[LossAlert]:
    query = select(loss_alert).order_by(loss_alert.c.since, loss_alert.c.dimension, loss_alert.c.name)
    if project is not None:
        query = query.where(loss_alert.c.project == project)
    return [_alert(row) for row in conn.execute(query)]


def _put_alerts(conn: Connection, project: Key, alerts: Sequence[LossAlert]) -> tuple[list[LossAlert], list[LossAlert]]:
    known = {(each.dimension, each.name): each for each in _alerts(conn, project)}
    conn.execute(delete(loss_alert).where(loss_alert.c.project == project))
    now = {(each.dimension, each.name): each for each in alerts}
    rows = []
    for about, each in now.items():
        values = {name: getattr(each, name) for name in each.__struct_fields__}
        since = known[about].since if about in known else each.since
        rows.append(values | {"dimension": each.dimension.value, "since": since})
    if rows:
        conn.execute(insert(loss_alert), rows)
    return [now[about] for about in now if about not in known], [known[about] for about in known if about not in now]


def _alert(row: Row[Any]) -> LossAlert:
    return LossAlert(**{**row._asdict(), "dimension": Dimension(row.dimension)})


def _forget(conn: Connection, project: Key, losses_before: Millis, counts_before: Millis) -> None:
    conn.execute(delete(loss).where(loss.c.project == project, loss.c.at < losses_before))
    for dimension in Dimension:
        mine = (loss_count.c.project == project) & (loss_count.c.dimension == dimension.value)
        conn.execute(delete(loss_count).where(mine, loss_count.c.day < counts_before))
