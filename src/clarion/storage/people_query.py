"""Rows about a batch of people: a span of keys, or named keys."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from clarion.model import Key
from clarion.ports import FactsQuery
from clarion.storage.database import Dialect, Row


class PeopleQuery(NamedTuple):
    """The people of a query, as a condition on any table's column."""

    dialect: Dialect
    project: Key
    query: FactsQuery

    def rows(
        self, conn: Connection, columns: Sequence[str], table: str, column: str, more: str = "", *values: object
    ) -> list[Row]:
        """Rows about these people; `more` begins with AND."""
        condition, keys = self.condition(column)
        rest = f"FROM {table} WHERE +project = ? AND {condition} {more}"
        return self.dialect.rows(conn, columns, rest, self.project, *keys, *values)

    def condition(self, column: str) -> tuple[str, tuple[object, ...]]:
        """That a column names one of these people, with its values."""
        if self.query.span is not None:
            return f"{column} BETWEEN ? AND ?", self.query.span
        return f"{column} {self.dialect.within('bigint')}", (self.dialect.listed(self.query.users or ()),)
