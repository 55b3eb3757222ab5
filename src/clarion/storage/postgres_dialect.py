"""PostgreSQL's way with many rows: COPY in, arrays as the relation of a statement."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from sqlalchemy import Connection

from clarion.model import Key
from clarion.storage.database import Columns, Row, parted

_FEW = 32  # below this COPY's extra round trips cost more than they save, but for bytes


class JsonText(str):
    """Names the dumper below; never made."""

    __slots__ = ()


class JsonTextDumper(Dumper):
    """JSON text into a `jsonb` column of a binary COPY: a version byte before it."""

    format = Format.BINARY
    oid = psycopg.adapters.types["jsonb"].oid

    def dump(self, obj: str) -> bytes:
        """The text as `jsonb_recv` reads it."""
        return b"\x01" + obj.encode()


def driver_of(conn: Connection) -> psycopg.Connection[Row]:
    """The driver's own connection below SQLAlchemy's."""
    driver = conn.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


class PostgresDialect:
    """See `database.Dialect`."""

    def insert(self, conn: Connection, table: str, columns: Columns, rows: Sequence[Row]) -> int:
        if len(rows) >= _FEW or "bytea" in columns.values():
            driver = driver_of(conn)
            driver.execute("SAVEPOINT copying")
            try:
                added = _copy(driver, table, columns, rows)
            except psycopg.errors.UniqueViolation:  # rare; the slower way leaves out what is there
                driver.execute("ROLLBACK TO copying")
            else:
                driver.execute("RELEASE copying")
                return added
        names = ", ".join(columns)
        sql = f"INSERT INTO {table} ({names}) SELECT {names} FROM batch ON CONFLICT DO NOTHING"  # noqa: S608 - our words
        return self.apply(conn, sql, columns, rows)

    def apply(self, conn: Connection, sql: str, columns: Columns, rows: Sequence[Row]) -> int:
        if not rows:
            return 0
        same, varying = parted(rows)
        sql = _with_batch(tuple(columns.items()), sql, tuple(same))
        return driver_of(conn).execute(sql, _values(columns, same, varying)).rowcount

    def rows(self, conn: Connection, columns: Sequence[str], rest: str, *values: object) -> list[Row]:
        return driver_of(conn).execute(_marked(f"SELECT {', '.join(columns)} {rest}"), values).fetchall()

    def joined(
        self, conn: Connection, columns: Sequence[str], rest: str, batch: Columns, rows: Sequence[Row]
    ) -> list[Row]:
        if not rows:
            return []
        sql = _with_batch(tuple(batch.items()), f"SELECT {', '.join(columns)} {rest}", ())
        return driver_of(conn).execute(sql, _values(batch, {}, rows)).fetchall()

    def large(self, conn: Connection, sql: str, *values: object) -> list[Row]:
        with driver_of(conn).cursor(binary=True) as cursor:
            return cursor.execute(_marked(sql), values).fetchall()

    def within(self, type_: str) -> str:
        return f"= ANY(CAST(? AS {type_}[]))"

    def each(self, type_: str) -> str:
        return f"unnest(CAST(? AS {type_}[])) AS each (value)"

    def listed(self, values: Sequence[int] | Sequence[str]) -> object:
        text = bool(values) and isinstance(values[0], str)
        return _array("text" if text else "bigint", values)

    def keys(self, conn: Connection, table: str, count: int) -> list[Key]:
        sql = f"SELECT nextval('{table}_key_seq') FROM generate_series(1, %s)"  # noqa: S608 - our own words
        return [key for (key,) in driver_of(conn).execute(sql, (count,)).fetchall()]


def _copy(driver: psycopg.Connection[Row], table: str, columns: Columns, rows: Sequence[Row]) -> int:
    with driver.cursor() as cursor:
        with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(list(columns.values()))
            for row in rows:
                copy.write_row(row)
        return cursor.rowcount


@lru_cache(maxsize=256)
def _with_batch(columns: tuple[tuple[str, str], ...], sql: str, same: tuple[int, ...]) -> str:
    """`same`: the columns that all rows share, whose values come first."""
    names = [name for name, _ in columns]
    shared = "".join(f"CAST(? AS {columns[at][1]}) AS {columns[at][0]}, " for at in same)
    arrays = ", ".join(f"CAST(? AS {type_}[])" for at, (_, type_) in enumerate(columns) if at not in same)
    varying = ", ".join(name for at, name in enumerate(names) if at not in same)
    rows = f"SELECT {shared}{varying} FROM unnest({arrays}) AS own ({varying})"  # noqa: S608 - our own words
    return _marked(f"WITH batch AS ({rows}) {sql}")


@lru_cache(maxsize=256)
def _marked(sql: str) -> str:
    return sql.replace("?", "%s")


def _values(columns: Columns, same: Mapping[int, object], varying: Sequence[Row]) -> list[object]:
    """The parameters of `_with_batch`."""
    types = [type_ for at, type_ in enumerate(columns.values()) if at not in same]
    arrays = [_array(type_, values) for type_, values in zip(types, zip(*varying, strict=True), strict=True)]
    return [*same.values(), *arrays]


def _array(type_: str, values: Sequence[Any]) -> str:
    """An array in PostgreSQL's own words: the driver's lists cost ten times as much."""
    written = _WRITERS.get(type_, str)
    return "{" + ",".join(["NULL" if value is None else written(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _hex(value: bytes) -> str:
    return '"\\\\x' + value.hex() + '"'


_WRITERS: dict[str, Callable[[Any], str]] = {"text": _quoted, "jsonb": _quoted, "bytea": _hex}
