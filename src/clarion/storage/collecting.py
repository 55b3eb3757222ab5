"""What waits for a digest: collected, and released, in the transaction that decides, under the person's lock."""

from collections.abc import Callable
from typing import TypeAlias

from sqlalchemy import Connection

from clarion.model import Key
from clarion.ports import Collected, Effects
from clarion.storage.database import Dialect, Row, columns_of
from clarion.storage.schema import digest_item

_ITEM = columns_of(digest_item)
_WAITING = ("person", "notification", "gathering", "at")
_DIGESTED = columns_of(digest_item, "project", "person", "notification", "digest")
_PAIR = columns_of(digest_item, "project", "person", "notification")
_THE_SAME = (
    "digest_item.person = batch.person AND digest_item.notification = batch.notification "
    "AND digest_item.project = batch.project"
)
_SEND = f"UPDATE digest_item SET digest = batch.digest FROM batch WHERE {_THE_SAME}"  # noqa: S608 - our own words
_FORGET = """
DELETE FROM digest_item WHERE (person, notification) IN (
    SELECT i.person, i.notification FROM batch
    JOIN digest_item i ON i.person = batch.person AND i.notification = batch.notification AND i.project = batch.project
)
"""

PeoplesRows: TypeAlias = Callable[..., list[Row]]
"""Columns, table, its column of people, and more conditions: the rows about the people of a query."""


def load_collected(rows: PeoplesRows) -> list[Collected]:
    """What waits, in order of people, then as it was collected."""
    found = [Collected(*row) for row in rows(_WAITING, "digest_item", "person", "AND digest IS NULL")]
    return sorted(found, key=lambda one: (one.user, one.at, one.notification))


def write_collected(conn: Connection, dialect: Dialect, project: Key, effects: Effects) -> None:
    """What begins to wait, and what ends to: in a digest, or by itself."""
    if effects.collected:
        new = [(project, one.user, one.notification, one.group, one.at, None) for one in effects.collected]
        dialect.insert(conn, "digest_item", _ITEM, new)
    sent = [(project, *one) for one in effects.released if one.digest is not None]
    alone = [(project, one.user, one.notification) for one in effects.released if one.digest is None]
    if sent:
        dialect.apply(conn, _SEND, _DIGESTED, sent)
    if alone:
        dialect.apply(conn, _FORGET, _PAIR, alone)
