"""SQLite's way with many rows: one statement for up to 1,024 of them, one row of columns for a whole result.

`executemany` and `fetchall` leave and re-enter the interpreter for every row, which beside a busy event loop takes
milliseconds a row. So rows go in as the values of one statement and come out as one JSON array a column.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain

import msgspec
from sqlalchemy import Connection

from clarion.model import Key
from clarion.storage.database import Columns, Row

_CHUNK = 1_024
_VALUES = 30_000  # SQLite takes 32,766 in one statement
_FEW = 16
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
        if len(rows) < _FEW:
            return _run(conn, _inserting(table, names, ()), rows)
        # Binding a value is what a row costs most: one that all rows share is bound once.
        by_column = list(zip(*rows, strict=True))
        same = [index for index in range(1, len(names)) if by_column[index].count(by_column[index][0]) == len(rows)]
        if not same:
            return _run(conn, _inserting(table, names, ()), rows)
        other = [index for index in range(len(names)) if index not in same]
        sql = _inserting(table, tuple(names[index] for index in other), tuple(names[index] for index in same))
        varying = list(zip(*(by_column[index] for index in other), strict=True))
        return _run(conn, sql, varying, [rows[0][index] for index in same])

    def insert_alike(
        self, conn: Connection, table: str, shared: Mapping[str, object], columns: Columns, rows: Sequence[Row]
    ) -> None:
        _run(conn, _inserting(table, tuple(columns), tuple(shared)), rows, list(shared.values()))

    def apply(self, conn: Connection, sql: str, columns: Columns, rows: Sequence[Row]) -> int:
        return _run(conn, _with_batch(columns, sql), rows)

    def rows(self, conn: Connection, columns: Sequence[str], rest: str, *values: object) -> list[Row]:
        found = driver_of(conn).execute(_by_column(tuple(columns), rest), values).fetchone()
        return list(zip(*map(_decode, found), strict=True))

    def joined(
        self, conn: Connection, columns: Sequence[str], rest: str, batch: Columns, rows: Sequence[Row]
    ) -> list[Row]:
        driver = driver_of(conn)
        template = _with_batch(batch, _by_column(tuple(columns), rest))
        found: list[Row] = []
        for sql, values in _chunks(template, rows, []):
            found += zip(*map(_decode, driver.execute(sql, values).fetchone()), strict=True)
        return found

    def large(self, conn: Connection, sql: str, *values: object) -> list[Row]:
        return driver_of(conn).execute(sql, values).fetchall()

    def within(self, type_: str) -> str:  # noqa: ARG002 - only PostgreSQL needs to be told
        return "IN (SELECT value FROM json_each(?))"

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


@lru_cache(maxsize=256)
def _inserting(table: str, varying: tuple[str, ...], shared: tuple[str, ...]) -> str:
    names = ", ".join(shared + varying)
    taken = ", ".join(["?"] * len(shared) + [f"column{number}" for number in range(1, len(varying) + 1)])
    source = f"SELECT {taken} FROM (VALUES {_ROWS}) WHERE true" if shared else f"VALUES {_ROWS}"  # noqa: S608 - our own words
    return f"INSERT INTO {table} ({names}) {source} ON CONFLICT DO NOTHING"


@lru_cache(maxsize=128)
def _by_column(columns: tuple[str, ...], rest: str) -> str:
    named = ", ".join(f"{column} AS c{index}" for index, column in enumerate(columns))
    arrays = ", ".join(f"json_group_array(c{index})" for index in range(len(columns)))
    return f"SELECT {arrays} FROM (SELECT {named} {rest})"  # noqa: S608 - our own words


def _with_batch(columns: Columns, sql: str) -> str:
    return f"WITH batch ({', '.join(columns)}) AS (VALUES {_ROWS}) {sql}"
