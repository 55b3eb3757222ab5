"""The places that sent notifications take under frequency caps, and who waits for one.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Nothing counted before: caps begin to count with the first notification after they are set."""
    op.create_table(
        "sent_log",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("notification", sa.BigInteger(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("class", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("armed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("person", "at", "notification"),
        sqlite_with_rowid=False,
    )
    waiting = sa.text("reason = 'cap_wait'")
    op.create_index(
        "decision_waiting",
        "decision",
        ["person", "notification"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
