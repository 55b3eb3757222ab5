"""SQLite's events by their people, in two tables instead of an index.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

_COLUMNS = "project, person, name, occurred_at, event"
_NEW = "INSERT INTO person_event_new VALUES (new.project, new.person, new.name, new.occurred_at, new.key)"
_SAME = "person = old.person AND name = old.name AND occurred_at = old.occurred_at AND event = old.key"
_GONE = "; ".join(f"DELETE FROM {table} WHERE {_SAME}" for table in ("person_event", "person_event_new"))  # noqa: S608
_TRIGGERS = {
    "event_comes AFTER INSERT": _NEW,
    "event_goes AFTER DELETE": _GONE,
    "event_moves AFTER UPDATE OF person": f"{_GONE}; {_NEW}",
}


def upgrade() -> None:
    """PostgreSQL keeps its index."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    for name in ("person_event", "person_event_new"):
        op.create_table(
            name,
            sa.Column("project", sa.BigInteger(), nullable=False),
            sa.Column("person", sa.BigInteger(), nullable=False),
            sa.Column("name", sa.Text(), nullable=False),
            sa.Column("occurred_at", sa.BigInteger(), nullable=False),
            sa.Column("event", sa.BigInteger(), nullable=False),
            sa.PrimaryKeyConstraint("person", "name", "occurred_at", "event"),
            sqlite_with_rowid=False,
        )
    op.execute(
        f"INSERT INTO person_event ({_COLUMNS}) SELECT project, person, name, occurred_at, key FROM event "  # noqa: S608
        "ORDER BY person, name, occurred_at, key"
    )
    op.drop_index("event_person", "event")
    for when, what in _TRIGGERS.items():
        op.execute(f"CREATE TRIGGER {when} ON event BEGIN {what}; END")
    _expect(connection)


def _expect(connection: sa.Connection) -> None:
    """Tell SQLite what it would count itself if it were asked to: that few names are shared by many events.

    Rows in all; and for each column more that is known, how many rows are left.
    """
    connection.execute(sa.text("ANALYZE sqlite_schema"))  # makes the table of what is expected, and counts nothing
    connection.execute(sa.text("DELETE FROM sqlite_stat1 WHERE tbl = 'event'"))
    row = "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('event', 'event_named', '10000000 1000000 1000000 10 1')"
    connection.execute(sa.text(row))
    connection.execute(sa.text("ANALYZE sqlite_schema"))  # reads it
