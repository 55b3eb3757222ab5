"""What the tables are written with: the metadata that they belong to, and their types of columns."""

from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Integer,
    MetaData,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

T = TypeVar("T")

metadata = MetaData()
# What SQLite has beside that.
sqlite_metadata = MetaData()

# SQLite gives automatic keys to INTEGER only; it is 64 bits wide there as well.
KEY = BigInteger().with_variant(Integer(), "sqlite")
DOCUMENT = JSON().with_variant(JSONB(), "postgresql")


def key() -> Column[int]:
    """The integer by which a row is known inside, given by the engine."""
    return Column("key", KEY, primary_key=True, autoincrement=True)


def column(name: str, type_: TypeEngine[T] | type[TypeEngine[T]], *, null: bool = False) -> Column[T]:
    """Must be filled, unless `null`."""
    return Column(name, type_, nullable=null)


def where(condition: str) -> dict[str, Any]:
    """Makes an index leave out the rows that no query looks for there."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}
