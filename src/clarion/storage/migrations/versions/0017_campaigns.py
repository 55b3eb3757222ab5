"""Campaigns, and what of a notification says that it is a run of one.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """No notification is one before there are campaigns."""
    op.create_table(
        "campaign",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "name"),
    )
    due, running = sa.text("due_at IS NOT NULL"), sa.text("state = 'running'")
    op.create_index("campaign_due", "campaign", ["due_at"], sqlite_where=due, postgresql_where=due)
    op.create_index("campaign_running", "campaign", ["project"], sqlite_where=running, postgresql_where=running)
    op.add_column("notification", sa.Column("campaign", sa.Text(), nullable=True))
    op.add_column("notification", sa.Column("paused_at", sa.BigInteger(), nullable=True))
    runs = sa.text("campaign IS NOT NULL")
    op.create_index(
        "notification_campaign",
        "notification",
        ["project", "campaign", "key"],
        sqlite_where=runs,
        postgresql_where=runs,
    )
