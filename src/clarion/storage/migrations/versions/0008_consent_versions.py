"""Lines of the ledger of consents know the version of their words, and when they were said elsewhere.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Two columns; of older lines nobody knows."""
    op.add_column("consent", sa.Column("wording_version", sa.Text(), nullable=True))
    op.add_column("consent", sa.Column("said_at", sa.BigInteger(), nullable=True))
