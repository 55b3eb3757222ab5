"""Runs of automations: where people are in them, and when it goes on.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """One row for each person and key."""
    op.create_table(
        "automation_run",
        sa.Column(
            "key",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("automation", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("run_key", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("waits", sa.Boolean(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.BigInteger(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("moves", sa.Integer(), nullable=False),
        sa.Column("ended", sa.Text(), nullable=True),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "automation_run_identity", "automation_run", ["project", "automation", "run_key", "person"], unique=True
    )
    due = sa.text("due_at IS NOT NULL")
    op.create_index("automation_run_due", "automation_run", ["due_at"], sqlite_where=due, postgresql_where=due)
    op.create_index("automation_run_person", "automation_run", ["person"])
