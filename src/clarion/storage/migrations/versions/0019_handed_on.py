"""Whose device went to somebody else while something was armed.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Nothing is known of those before."""
    op.create_table(
        "handed_on",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "at", "person"),
        sqlite_with_rowid=False,
    )
