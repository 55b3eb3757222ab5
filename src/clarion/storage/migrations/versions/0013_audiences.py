"""Segments and topics: lists of people, a bucket for each person, and events found by their name.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_BUCKETS = 2_147_483_647


def upgrade() -> None:
    """People of before get a bucket by lot: it is kept, so that it need not be told by the id."""
    postgres = op.get_bind().dialect.name == "postgresql"
    op.add_column("person", sa.Column("bucket", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    lot = f"floor(random() * {_BUCKETS})" if postgres else f"abs(random() % {_BUCKETS})"
    op.execute(f"UPDATE person SET bucket = {lot}")  # noqa: S608 - our own words
    op.create_table(
        "roster",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("roster_name", "roster", ["project", "kind", "name"], unique=True)
    op.create_table(
        "roster_member",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("roster", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("roster", "person"),
        sqlite_with_rowid=False,
    )
    op.create_index("roster_member_person", "roster_member", ["person"])
    op.drop_index("event_person", "event")
    op.create_index("event_person", "event", ["person", "name", "occurred_at"])
    op.create_index("event_named", "event", ["name", "project", "occurred_at", "person"])
