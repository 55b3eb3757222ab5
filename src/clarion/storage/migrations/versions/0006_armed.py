"""Armed notifications, and what changed while they waited.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Two columns, two indexes by the time of a change, and who is not there any more."""
    op.add_column("notification", sa.Column("armed_until", sa.BigInteger(), nullable=True))
    op.add_column("notification", sa.Column("fired_at", sa.BigInteger(), nullable=True))
    op.create_index("device_changed", "device", ["project", "updated_at"])
    op.create_index("consent_changed", "consent", ["project", "at"])
    op.create_table(
        "departed",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("successor", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("project", "at", "person"),
        sqlite_with_rowid=False,
    )
