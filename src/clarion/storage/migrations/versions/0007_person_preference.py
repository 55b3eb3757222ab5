"""What people asked for themselves: quiet hours of their own, a pause of marketing.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """One table, with an index by the time of a change."""
    op.create_table(
        "person_preference",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column(
            "person",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("quiet_start", sa.SmallInteger(), nullable=True),
        sa.Column("quiet_end", sa.SmallInteger(), nullable=True),
        sa.Column("quiet_days", sa.Text(), nullable=True),
        sa.Column("marketing_paused_until", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("person"),
    )
    op.create_index("person_preference_changed", "person_preference", ["project", "updated_at"])
