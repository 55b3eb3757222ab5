"""Events in parts on PostgreSQL, so that old ones go as a whole; the ids that callers gave in a table of their own.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

from clarion.storage.event_parts import make_parts

revision = "0010"
down_revision = "0009"

_COLUMNS = "key, project, person, name, properties, occurred_at, id"
_IN_PARTS = """
CREATE TABLE event (LIKE before INCLUDING DEFAULTS, CONSTRAINT event_pkey PRIMARY KEY (key)) PARTITION BY RANGE (key)
"""


def upgrade() -> None:
    """On PostgreSQL all events are copied once: about two seconds for a million."""
    op.create_table(
        "event_known",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("event", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "id"),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO event_known SELECT project, id, key FROM event WHERE id IS NOT NULL")
    op.drop_index("event_id", "event")
    conn = op.get_bind()
    if conn.dialect.name == "postgresql":
        _part(conn)


def _part(conn: sa.Connection) -> None:
    conn.execute(sa.text("ALTER TABLE event RENAME TO before"))
    conn.execute(sa.text("ALTER INDEX event_pkey RENAME TO before_pkey"))
    conn.execute(sa.text(_IN_PARTS))
    conn.execute(sa.text("ALTER SEQUENCE event_key_seq OWNED BY event.key"))
    last = conn.execute(sa.text("SELECT max(key) FROM before")).scalar() or 0
    first = conn.execute(sa.text("SELECT min(key) FROM before")).scalar() or last
    make_parts(conn, first, last)
    conn.execute(sa.text(f"INSERT INTO event ({_COLUMNS}) SELECT {_COLUMNS} FROM before"))  # noqa: S608 - our own words
    conn.execute(sa.text("DROP TABLE before"))
    op.create_index("event_person", "event", ["person", "occurred_at"])
