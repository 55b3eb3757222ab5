"""What SQLite is to expect of the indexes on events.

Revision ID: 0018
Revises: 0017
"""

from alembic import op
from sqlalchemy import text

revision = "0018"
down_revision = "0017"

# Rows in all; and for each column more that is known, how many rows are left. A shop's, roughly: SQLite only compares.
_EXPECTED = {
    "event_person": "10000000 10 3 1",
    "event_named": "10000000 1000000 1000000 10 1",
}


def upgrade() -> None:
    """Without a word it takes a name for as rare as a person, and goes through all events of that name.

    PostgreSQL counts for itself.
    """
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    connection.execute(text("ANALYZE sqlite_schema"))  # makes the table of what is expected, and counts nothing
    connection.execute(text("DELETE FROM sqlite_stat1 WHERE tbl = 'event'"))
    row = text("INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('event', :index, :stat)")
    connection.execute(row, [{"index": index, "stat": stat} for index, stat in _EXPECTED.items()])
    connection.execute(text("ANALYZE sqlite_schema"))  # reads it
