"""The database below a server under measurement, seen from outside: filled beforehand, looked at meanwhile."""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import psycopg

Row = tuple[Any, ...]
_PEOPLE = ("project", "id", "attributes", "anonymous", "created_at", "updated_at")
_DEVICES = (
    "project", "id", "person", "kind", "address", "permission", "state", "details", "registered_at", "created_at",
    "updated_at",
)  # fmt: skip
_BATCH = 10_000


class SeedDevice(NamedTuple):
    """A device as it stands in the store; `details`: JSON."""

    address: str
    details: str


class Database(Protocol):
    """One connection; `?` marks a parameter."""

    def one(self, sql: str, *values: object) -> Any:
        """The first value of the first row."""
        ...

    def add(self, table: str, columns: tuple[str, ...], rows: Iterable[Row]) -> None:
        """Add rows, on disk when it returns."""
        ...


class _Sqlite:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def one(self, sql: str, *values: object) -> Any:
        return self._connection.execute(sql, values).fetchone()[0]

    def add(self, table: str, columns: tuple[str, ...], rows: Iterable[Row]) -> None:
        marks = ", ".join("?" * len(columns))
        with self._connection:
            self._connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)  # noqa: S608 - our own words


class _Postgres:
    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self._connection = connection

    def one(self, sql: str, *values: object) -> Any:
        found = self._connection.execute(sql.replace("?", "%s").encode(), values).fetchone()
        assert found is not None
        return found[0]

    def add(self, table: str, columns: tuple[str, ...], rows: Iterable[Row]) -> None:
        copying = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
        with self._connection.transaction(), self._connection.cursor().copy(copying.encode()) as copy:
            for row in rows:
                copy.write_row(row)


@contextmanager
def opened(where: str | Path) -> Iterator[Database]:
    """`where`: the URL of a PostgreSQL database, or the folder of an embedded one."""
    if isinstance(where, str):
        with psycopg.connect(where, autocommit=True) as connection:
            yield _Postgres(connection)
        return
    embedded = sqlite3.connect(next(where.glob("*.db")), timeout=30)
    try:
        yield _Sqlite(embedded)
    finally:
        embedded.close()


def seed(database: Database, project: int, kind: str, devices: Iterable[SeedDevice], count: int) -> Iterator[int]:
    """Add `count` people with one device each. Yields how many there are, from time to time."""
    now = time.time_ns() // 1_000_000
    attributes = json.dumps({"first_name": "Ada", "plan": "pro"})
    waiting = iter(devices)
    for first in range(0, count, _BATCH):
        numbers = range(first, min(first + _BATCH, count))
        database.add("person", _PEOPLE, ((project, f"user-{n}", attributes, False, now, now) for n in numbers))
        key = database.one("SELECT max(key) FROM person WHERE project = ?", project) - len(numbers) + 1
        made = (
            (project, f"{n:032x}", key + n - first, kind, *address, "granted", "active", details, now, now, now)
            for n, (*address, details) in zip(numbers, waiting, strict=False)
        )
        database.add("device", _DEVICES, made)
        yield numbers.stop
