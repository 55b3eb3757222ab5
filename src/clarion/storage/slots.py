"""The places that notifications take under caps: who took one, who waits for one, and when it is given back.

A place is taken in the transaction that decides, under the person's lock, and given back by whoever writes that nothing
of the notification reached the person.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from sqlalchemy import Connection, delete, func, select

from clarion.model import DeliveryState, Key, Millis, Reason
from clarion.ports import CapsQuery, Effects, Slot, Taken, Waiting
from clarion.storage.database import Dialect, Row, columns_of
from clarion.storage.merging import aliases
from clarion.storage.requests import read_notifications
from clarion.storage.schema import sent_log

_SLOT = columns_of(sent_log)
_PAIR = columns_of(sent_log, "project", "person", "notification")
_LOST = frozenset({DeliveryState.FAILED, DeliveryState.EXPIRED})  # 1 and 2
# One that was armed counts from its fire.
_AT = (
    "CASE WHEN armed THEN "
    "COALESCE((SELECT n.fired_at FROM notification n WHERE n.key = sent_log.notification), at) ELSE at END"
)
_TAKEN = ("person", _AT, "notification", "category", "class", "channel")
_FORGET = """
DELETE FROM sent_log WHERE (person, at, notification) IN (
    SELECT s.person, s.at, s.notification FROM batch
    JOIN sent_log s ON s.person = batch.person AND s.notification = batch.notification AND s.project = batch.project
    WHERE {condition}
)
"""
_AGAIN = _FORGET.format(condition="true")
# Deliveries of what was armed begin with their outcomes: while some are missing, nobody knows that all have failed.
# What was replaced on its way reaches the person in other words, which take no place of their own.
_RELEASE = _FORGET.format(
    condition="""
    NOT EXISTS (
        SELECT 1 FROM delivery d WHERE d.project = batch.project AND d.notification = batch.notification
        AND d.person = batch.person AND (d.state NOT IN (1, 2) OR d.reason = 'superseded')
    ) AND NOT (s.armed AND EXISTS (
        SELECT 1 FROM notification n WHERE n.key = s.notification AND n.fired_at IS NOT NULL
    ))
    """
)


PeoplesRows: TypeAlias = Callable[..., list[Row]]
"""Columns, table, its column of people, more conditions and their values: the rows about the people of a query."""


def load_taken(rows: PeoplesRows, caps: CapsQuery) -> dict[Key, list[Taken]]:
    """The places that these people's notifications take, by person."""
    found: dict[Key, list[Taken]] = {}
    columns = _TAKEN if caps.scoped else _TAKEN[:3]
    for row in rows(columns, "sent_log", "person", "AND at >= ?", caps.since):
        if row[0] in found:
            found[row[0]].append(Taken(*row))
        else:
            found[row[0]] = [Taken(*row)]
    return found


def load_waiting(conn: Connection, rows: PeoplesRows, project: Key, caps: CapsQuery) -> dict[Key, list[Waiting]]:
    """What waits for a place, by person, without what was cancelled."""
    if not caps.waiting:
        return {}
    columns, more = ("person", "notification", "until"), f"AND reason = '{Reason.CAP_WAIT}'"
    held = rows(columns, "decision", "person", more)
    if not held:
        return {}
    keys = {key for _, key, _ in held}
    about = {each.key: each for each in read_notifications(conn, project, keys)}
    found: dict[Key, list[Waiting]] = {}
    for person, key, until in held:
        waits = about.get(key)
        if waits is not None and waits.cancelled_at is None:
            message = waits.message
            one = Waiting(key, message.category, message.priority, waits.expires_at, until)
            found.setdefault(person, []).append(one)
    return found


def write_slots(conn: Connection, dialect: Dialect, project: Key, effects: Effects) -> None:
    """Give back what these effects end, then take what they send."""
    _release(conn, dialect, project, _ended(effects))
    if effects.slots:
        if effects.revised:  # decided to send before, when it was armed
            again = [(project, each.user, each.notification) for each in effects.slots]
            dialect.apply(conn, _AGAIN, _PAIR, again)
        dialect.insert(conn, "sent_log", _SLOT, [_row(project, each) for each in effects.slots])


def _ended(effects: Effects) -> set[tuple[Key, Key]]:
    """(person, notification) of what is not sent after all, or did not arrive."""
    withdrawn = {(each.user, each.notification) for each in effects.revised if each.reason is not Reason.SEND}
    return withdrawn | {(each.user, each.notification) for each in effects.outcomes if each.state in _LOST}


def _row(project: Key, slot: Slot) -> Row:
    return (project, slot.user, slot.at, slot.notification, slot.category, slot.class_, slot.channel, slot.armed)


def _release(conn: Connection, dialect: Dialect, project: Key, ended: Iterable[tuple[Key, Key]]) -> None:
    """Delete places of which no delivery is left. Of two that end the last deliveries at once, the second sees both."""
    pairs = sorted(ended)
    if pairs and _held(conn, dialect, project, pairs):
        present = aliases(conn, project, {person for person, _ in pairs})
        rows = {(project, present.get(person, person), key) for person, key in pairs}
        dialect.apply(conn, _RELEASE, _PAIR, sorted(rows))


def _held(conn: Connection, dialect: Dialect, project: Key, pairs: Sequence[tuple[Key, Key]]) -> bool:
    """Whether any of them takes a place, also as whom they were merged into; its row is ours for this transaction."""
    lock = "FOR UPDATE" if conn.dialect.name == "postgresql" else ""
    within = dialect.within("bigint")
    held = (
        "(SELECT person FROM sent_log WHERE +project = ? "  # noqa: S608 - our own words
        f"AND (person {within} OR person IN (SELECT m.person FROM merged m WHERE m.former {within})) "
        f"AND notification {within} ORDER BY person {lock}) AS kept"
    )
    people = dialect.listed(sorted({person for person, _ in pairs}))
    keys = dialect.listed(sorted({key for _, key in pairs}))
    return bool(dialect.rows(conn, ("count(*)",), f"FROM {held}", project, people, people, keys)[0][0])


def forget_slots(conn: Connection, before: Millis, after: Key, users: int) -> Key | None:
    """See `ports.Steps.forget_slots`."""
    beyond = select(sent_log.c.person).where(sent_log.c.person > after).distinct()
    some = beyond.order_by(sent_log.c.person).limit(users).subquery()
    last: Key | None = conn.execute(select(func.max(some.c.person))).scalar()
    if last is not None:
        theirs = (sent_log.c.person > after) & (sent_log.c.person <= last)
        conn.execute(delete(sent_log).where(theirs, sent_log.c.at < before))
    return last
