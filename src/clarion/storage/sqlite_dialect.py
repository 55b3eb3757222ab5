"""SQLite's way with many rows: one statement for up to 256 of them, one JSON text for a whole result.

`executemany` and `fetchall` leave and re-enter the interpreter for every row. Beside a busy event loop that takes milliseconds
a row, so rows travel in both directions as one value.
"""

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

import msgspec
from sqlalchemy import Connection

from clarion.model import Key
from clarion.storage.database import Columns, Row

_CHUNK = 256
_ROWS = "{rows}"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[tuple]).decode  # type: ignore[type-arg]  # tuples of anything


def driver_of(conn: Connection) -> sqlite3.Connection:
    """The driver's own connection below SQLAlchemy's."""
    driver = conn.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


class SqliteDialect:
    """See `database.Dialect`."""

    def insert(self, conn: Connection, table: str, columns: Columns, rows: Sequence[Row]) -> int:
        names = ", ".join(columns)
        return self._run(
            conn, f"INSERT INTO {table} ({names}) VALUES {_ROWS} ON CONFLICT DO NOTHING", len(columns), rows
        )

    def apply(self, conn: Connection, sql: str, columns: Columns, rows: Sequence[Row]) -> int:
        return self._run(conn, _with_batch(columns, sql), len(columns), rows)

    def rows(self, conn: Connection, columns: Sequence[str], rest: str, *values: object) -> list[Row]:
        (text,) = driver_of(conn).execute(_as_json(tuple(columns), rest), values).fetchone()
        return _decode(text)

    def joined(
        self, conn: Connection, columns: Sequence[str], rest: str, batch: Columns, rows: Sequence[Row]
    ) -> list[Row]:
        driver = driver_of(conn)
        template = _with_batch(batch, _as_json(tuple(columns), rest))
        found: list[Row] = []
        for sql, values in _chunks(template, len(batch), rows):
            (text,) = driver.execute(sql, values).fetchone()
            found += _decode(text)
        return found

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

    def _run(self, conn: Connection, template: str, width: int, rows: Sequence[Row]) -> int:
        driver = driver_of(conn)
        before = driver.total_changes
        for sql, values in _chunks(template, width, rows):
            driver.execute(sql, values)
        return driver.total_changes - before


def _chunks(template: str, width: int, rows: Sequence[Row]) -> list[tuple[str, list[object]]]:
    """Statements with their values. Sizes are powers of two: few shapes, all of them in the driver's statement cache."""
    statements = []
    start, left = 0, len(rows)
    while left:
        size = min(_CHUNK, 1 << (left.bit_length() - 1))
        values = list(chain.from_iterable(rows[start : start + size]))
        statements.append((_filled(template, width, size), values))
        start, left = start + size, left - size
    return statements


@lru_cache(maxsize=512)
def _filled(template: str, width: int, size: int) -> str:
    row = "(" + ", ".join("?" * width) + ")"
    return template.replace(_ROWS, ", ".join([row] * size))


@lru_cache(maxsize=128)
def _as_json(columns: tuple[str, ...], rest: str) -> str:
    named = ", ".join(f"{column} AS c{index}" for index, column in enumerate(columns))
    names = ", ".join(f"c{index}" for index in range(len(columns)))
    return f"SELECT json_group_array(json_array({names})) FROM (SELECT {named} {rest})"  # noqa: S608 - our own words


def _with_batch(columns: Columns, sql: str) -> str:
    return f"WITH batch ({', '.join(columns)}) AS (VALUES {_ROWS}) {sql}"
