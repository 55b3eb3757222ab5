"""Notifications that replace or withdraw earlier ones.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """What is there updates nothing, and nothing updates it."""
    op.add_column("notification", sa.Column("updates", sa.BigInteger(), nullable=True))
    op.add_column("notification", sa.Column("updated_by", sa.BigInteger(), nullable=True))
    updates = sa.text("updates IS NOT NULL")
    op.create_index(
        "notification_updates",
        "notification",
        ["updates", "key"],
        sqlite_where=updates,
        postgresql_where=updates,
    )
