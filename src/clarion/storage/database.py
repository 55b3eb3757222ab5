"""What the nouns of this folder ask of an engine: transactions, and the few statements that run by the million.

A noun is written once, as plain functions over a connection; `Database` runs them in a thread, `Dialect` has each
engine's own fastest way to move many rows. Both take a whole batch in one statement: besides the speed, a thread that
goes back to Python for each row would have to win the interpreter lock from the event loop for each row.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Any, Concatenate, ParamSpec, Protocol, TypeAlias, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, UnaryExpression
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.operators import custom_op

from clarion.errors import InvalidRequest
from clarion.model import Key, Millis

T = TypeVar("T")
P = ParamSpec("P")

Columns: TypeAlias = Mapping[str, str]
"""Column names with their types in the words of PostgreSQL."""
Row: TypeAlias = tuple[Any, ...]


class Dialect(Protocol):
    """An engine's way with many rows. `?` marks a parameter in every statement and fragment."""

    def insert(self, conn: Connection, table: str, columns: Columns, rows: Sequence[Row]) -> int:
        """Add rows in order; one whose key is taken is left out. How many were added."""
        ...

    def apply(self, conn: Connection, sql: str, columns: Columns, rows: Sequence[Row]) -> int:
        """Run an INSERT, UPDATE or DELETE that reads the rows as a relation `batch`; how many rows it touched."""
        ...

    def rows(self, conn: Connection, columns: Sequence[str], rest: str, *values: object) -> list[Row]:
        """`SELECT columns rest`: expressions of numbers and text."""
        ...

    def joined(
        self, conn: Connection, columns: Sequence[str], rest: str, batch: Columns, rows: Sequence[Row]
    ) -> list[Row]:
        """`SELECT columns rest`, where `rest` reads the rows as a relation `batch`; in no particular order."""
        ...

    def large(self, conn: Connection, sql: str, *values: object) -> list[Row]:
        """Any statement's rows: few, with bytes in them."""
        ...

    def within(self, type_: str) -> str:
        """What follows a column to compare it with a list that is one parameter, made by `listed`."""
        ...

    def each(self, type_: str) -> str:
        """The relation `each` with the column `value`: a list that is one parameter, made by `listed`."""
        ...

    def listed(self, values: Sequence[int] | Sequence[str]) -> object:
        """The parameter for `within` and `each`."""
        ...

    def keys(self, conn: Connection, table: str, count: int) -> list[Key]:
        """Keys of a table that were never used, in rising order."""
        ...


class Transactions(Protocol):
    """Runs functions over a connection in a thread; raises `Unavailable` when the engine cannot."""

    async def read(self, work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` on a connection that only reads."""
        ...

    async def write(self, work: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in a transaction; on disk when it returns. An exception of `work` leaves nothing behind."""
        ...


class Database(Transactions, Protocol):
    """One engine. `key_block`: keys of notifications to fetch ahead; `now`: the time where no caller says it."""

    key_block: int
    now: Callable[[], Millis]

    @property
    def dialect(self) -> Dialect:
        """The engine's way with many rows."""
        ...

    def holding(
        self, project: Key, span: tuple[Key, Key] | None, users: Sequence[Key]
    ) -> AbstractAsyncContextManager[Transactions]:
        """Keep every other holder of one of these users (a span of keys, else sorted keys) waiting until left.

        Inside, read first and write once at the end.
        """
        ...


def wall_clock() -> Millis:
    """The time of this machine."""
    return time.time_ns() // 1_000_000


def upsert(conn: Connection, table: Table) -> Any:
    """An INSERT that knows ON CONFLICT, in the words of the connection's engine."""
    return postgresql.insert(table) if conn.dialect.name == "postgresql" else sqlite.insert(table)


def looked_up(
    conn: Connection, dialect: "Dialect", column: str, table: str, project: int, ids: Sequence[str]
) -> list[Row]:
    """Id and a column that is never empty, of the rows of a project with these ids.

    Asked id by id, which the index of both finds. Of `id = ANY(…)` PostgreSQL thinks, while it has no statistics of a
    new table, that a project has a few rows only: it reads all of them, and compares each with every id.
    """
    found = f"(SELECT {column} FROM {table} WHERE project = ? AND id = each.value)"  # noqa: S608 - our own words
    rows = dialect.rows(conn, ("each.value", found), f"FROM {dialect.each('text')}", project, dialect.listed(ids))
    return [row for row in rows if row[1] is not None]


def by_other_index(column: ColumnElement[int]) -> ColumnElement[int]:
    """A column that must be right, but is not how to find the rows: the project of rows that a person's index finds."""
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def to_json(value: object) -> str:
    """Compact JSON text."""
    return msgspec.json.encode(value).decode()


def from_json(text: str | bytes) -> Any:
    """The value of JSON text."""
    return msgspec.json.decode(text)


_FEW = 16
"""Rows that are not worth a look at what they have in common."""


def parted(rows: Sequence[Row]) -> tuple[dict[int, object], Sequence[Row]]:
    """What all rows have in common, by column, and the rows without it; at least one column stays.

    A value is what a row costs most, on its way to the engine: one that all of them share goes once.
    """
    if len(rows) < _FEW:
        return {}, rows
    by_column = list(zip(*rows, strict=True))
    same = {at: column[0] for at, column in enumerate(by_column) if column.count(column[0]) == len(rows)}
    if len(same) == len(by_column):
        same.popitem()
    return same, list(zip(*(column for at, column in enumerate(by_column) if at not in same), strict=True))


@cache
def columns_of(table: Table, *names: str) -> Columns:
    """The named columns of a table with their types; all of them when none is named."""
    words = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves its dialects untyped
    chosen = [table.c[name] for name in names] if names else list(table.c)
    return {column.name: column.type.compile(words).lower() for column in chosen}


_DIGITS = re.compile(r"[0-9]{1,18}")
"""What fits an integer column of either engine."""


def int_cursor(cursor: str | None, parts: int) -> tuple[int, ...] | None:
    """The keys in a page's cursor.

    Raises:
        InvalidRequest: it is not one that a page gave.
    """
    if cursor is None:
        return None
    numbers = cursor.split(".")
    if len(numbers) != parts or not all(re.fullmatch(r"[0-9]{1,18}", number) for number in numbers):
        raise InvalidRequest.field("cursor", "takes the next_cursor of the page before")
    return tuple(int(number) for number in numbers)
