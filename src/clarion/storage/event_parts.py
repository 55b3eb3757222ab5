"""The parts of the table of events on PostgreSQL: by key, so that the oldest are together and go as a whole.

A part is made before the first event that belongs to it is written.
"""

from sqlalchemy import Connection, text

from clarion.model import Key

PART = 10_000_000
"""Keys in one part: few enough to be dropped now and then, so many that a person's events are in few of them."""
_MAKING = 0x434C_4556  # names the lock under which parts are made
_NAME = "event_part_"
_LOCK = text("SELECT pg_advisory_xact_lock(:lock)")
_PARTS = text("""
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'event'::regclass
""")


class PartsMade:
    """What one process knows of them."""

    def __init__(self) -> None:
        self._there: set[int] = set()

    def hold(self, conn: Connection, first: Key, last: Key) -> None:
        """See to it that there are parts for these keys; SQLite has none.

        Called before the transaction writes anything, since whoever makes one waits for all that write events.
        """
        if conn.dialect.name != "postgresql" or {first // PART, last // PART} <= self._there:
            return
        self._there = parts(conn)  # what is made below may still be undone
        make_parts(conn, first, last)


def make_parts(conn: Connection, first: Key, last: Key) -> None:
    """Those for all keys from `first` to `last` that are not there."""
    wanted = set(range(first // PART, last // PART + 1))
    if wanted <= parts(conn):
        return
    conn.execute(_LOCK, {"lock": _MAKING})
    for number in sorted(wanted - parts(conn)):
        bounds = f"FROM ({number * PART}) TO ({(number + 1) * PART})"
        conn.execute(text(f"CREATE TABLE {_NAME}{number} PARTITION OF event FOR VALUES {bounds}"))


def drop_empty_parts(conn: Connection) -> None:
    """The oldest that hold no event, and none is to come: keys of the part after the next are given already."""
    given = conn.execute(text("SELECT last_value FROM event_key_seq")).scalar() or 0
    for number in sorted(parts(conn)):
        if number >= given // PART - 1 or not _is_empty(conn, number):
            return
        conn.execute(text("SET LOCAL lock_timeout = '2s'"))  # who waits for a table holds up all who come after
        conn.execute(text(f"DROP TABLE {_NAME}{number}"))


def _is_empty(conn: Connection, number: int) -> bool:
    return conn.execute(text(f"SELECT 1 FROM {_NAME}{number} LIMIT 1")).scalar() is None  # noqa: S608 - our own words


def parts(conn: Connection) -> set[int]:
    """The numbers of those that are there."""
    return {int(name.removeprefix(_NAME)) for name in conn.execute(_PARTS).scalars()}
