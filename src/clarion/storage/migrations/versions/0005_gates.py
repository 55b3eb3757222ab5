"""Lanes that are held back, the rate of a credential, when a job's messages end, and where doubtful devices are found.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Jobs that wait already have no end: each comes again in its turn, as before."""
    op.create_table(
        "stoppage",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("credential", sa.Text(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("again_at", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("project", "kind", "lane"),
    )
    op.add_column("credential", sa.Column("rate", sa.Integer(), nullable=True))
    op.add_column("credential", sa.Column("paced_until", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("work", sa.Column("ends_at", sa.BigInteger(), nullable=True))
    quarantined = sa.text("state = 'quarantined'")
    op.create_index(
        "device_quarantined",
        "device",
        ["project", "kind", "updated_at"],
        sqlite_where=quarantined,
        postgresql_where=quarantined,
    )
