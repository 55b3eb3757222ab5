"""SQLite's way with many rows: one statement for up to 1,024 of them, one row of columns for a whole result.

`executemany` and `fetchall` leave and re-enter the interpreter for every row, which beside a busy event loop takes
milliseconds a row. So rows go in as the values of one statement and come out as one JSON array a column.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

import msgspec
from sqlalchemy import Connection

from clarion.model import Key
from clarion.storage.database import Columns, Row, parted

_CHUNK = 1_024
_VALUES = 30_000  # SQLite takes 32,766 in one statement
_ROWS = "{rows}"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list).decode


def driver_of(conn: Connection) -> sqlite3.Connection:
    """The driver's own connection below SQLAlchemy's."""
    driver = conn.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


class SqliteDialect:
    """See `database.Dialect`."""

    def insert(self, conn: Connection, table: str, columns: Columns, rows: Sequence[Row]) -> int:
        names = tuple(columns)
        same, varying = parted(rows)
        return _run(conn, _inserting(table, names, tuple(same)), varying, list(same.values()))

    def apply(self, conn: Connection, sql: str, columns: Columns, rows: Sequence[Row]) -> int:
        same, varying = parted(rows)
        return _run(conn, _with_batch(tuple(columns), sql, tuple(same)), varying, list(same.values()))

    def rows(self, conn: Connection, columns: Sequence[str], rest: str, *values: object) -> list[Row]:
        found = driver_of(conn).execute(_by_column(tuple(columns), rest), values).fetchone()
        return list(zip(*map(_decode, found), strict=True))

    def joined(
        self, conn: Connection, columns: Sequence[str], rest: str, batch: Columns, rows: Sequence[Row]
    ) -> list[Row]:
        driver = driver_of(conn)
        template = _with_batch(tuple(batch), _by_column(tuple(columns), rest))
        found: list[Row] = []
        for sql, values in _chunks(template, rows, []):
            found += zip(*map(_decode, driver.execute(sql, values).fetchone()), strict=True)
        return found

    def large(self, conn: Connection, sql: str, *values: object) -> list[Row]:
        return driver_of(conn).execute(sql, values).fetchall()

    def within(self, type_: str) -> str:  # noqa: ARG002 - only PostgreSQL needs to be told
        return "IN (SELECT value FROM json_each(?))"

    def each(self, type_: str) -> str:  # noqa: ARG002 - only PostgreSQL needs to be told
        return "json_each(?) AS each"

    def listed(self, values: Sequence[int] | Sequence[str]) -> object:
        return _encode(values).decode()

    def keys(self, conn: Connection, table: str, count: int) -> list[Key]:
        driver = driver_of(conn)
        found = driver.execute(
            "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = ? RETURNING seq", (count, table)
        ).fetchone()
        if found is None:
            driver.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, count))
        last: int = found[0] if found else count
        return list(range(last - count + 1, last + 1))


def _run(conn: Connection, template: str, rows: Sequence[Row], shared: Sequence[object] = ()) -> int:
    driver = driver_of(conn)
    before = driver.total_changes
    for sql, values in _chunks(template, rows, shared):
        driver.execute(sql, values)
    return driver.total_changes - before


def _chunks(template: str, rows: Sequence[Row], shared: Sequence[object]) -> Iterator[tuple[str, list[object]]]:
    """Statements with their values. Sizes are powers of two: few shapes, all of them in the driver's cache."""
    start, left = 0, len(rows)
    width = len(rows[0]) if rows else 1
    most = min(_CHUNK, _VALUES // width)
    while left:
        size = 1 << (min(left, most).bit_length() - 1)
        values = list(chain(shared, chain.from_iterable(rows[start : start + size])))
        yield _filled(template, width, size), values
        start, left = start + size, left - size


@lru_cache(maxsize=512)
def _filled(template: str, width: int, size: int) -> str:
    row = "(" + ", ".join("?" * width) + ")"
    return template.replace(_ROWS, ", ".join([row] * size))


def _selected(width: int, same: tuple[int, ...]) -> str:
    """All columns, in order, of rows without those that they have in common."""
    if not same:
        return f"VALUES {_ROWS}"
    numbers = iter(range(1, width + 1))
    taken = ", ".join("?" if at in same else f"column{next(numbers)}" for at in range(width))
    return f"SELECT {taken} FROM (VALUES {_ROWS}) WHERE true"  # noqa: S608 - our own words


@lru_cache(maxsize=256)
def _inserting(table: str, names: tuple[str, ...], same: tuple[int, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(names)}) {_selected(len(names), same)} ON CONFLICT DO NOTHING"


@lru_cache(maxsize=128)
def _by_column(columns: tuple[str, ...], rest: str) -> str:
    named = ", ".join(f"{column} AS c{index}" for index, column in enumerate(columns))
    arrays = ", ".join(f"json_group_array(c{index})" for index in range(len(columns)))
    return f"SELECT {arrays} FROM (SELECT {named} {rest})"  # noqa: S608 - our own words


@lru_cache(maxsize=256)
def _with_batch(columns: tuple[str, ...], sql: str, same: tuple[int, ...] = ()) -> str:
    return f"WITH batch ({', '.join(columns)}) AS ({_selected(len(columns), same)}) {sql}"
