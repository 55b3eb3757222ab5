"""What waits for a digest of a person, and what was sent in one.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Nothing is collected before a category has a digest."""
    op.create_table(
        "digest_item",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("notification", sa.BigInteger(), nullable=False),
        sa.Column("gathering", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("person", "notification"),
        sqlite_with_rowid=False,
    )
    waiting = sa.text("digest IS NULL")
    op.create_index("digest_item_waiting", "digest_item", ["person"], sqlite_where=waiting, postgresql_where=waiting)
