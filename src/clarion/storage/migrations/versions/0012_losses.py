"""Who said no after what we sent, and what our messages came to, by day.

Revision ID: 0012
Revises: 0011
"""

import time

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_DAYS_MS = 5 * 86_400_000
_CHANNEL = "CASE WHEN kind IN ('email', 'sms', 'inbox') THEN kind ELSE 'push' END"
# The days that are counted at first would look as if nobody had been lost, and what is usual too.
_KNOWN = (
    """
    INSERT INTO loss (project, at, person, kind, category, channel, device)
    SELECT DISTINCT project, at, person, 'opt_out', category, channel, 0 FROM consent
    WHERE at >= :since AND NOT granted AND category <> '*' AND said_at IS NULL AND source NOT IN ('import', 'merge')
    """,
    """
    INSERT INTO loss (project, at, person, kind, category, channel, device)
    SELECT DISTINCT project, at, person, 'permission', '', channel, 0 FROM consent
    WHERE at >= :since AND NOT granted AND category = '*'
    """,
    f"""
    INSERT INTO loss (project, at, person, kind, category, channel, device)
    SELECT project, updated_at, person, 'subscription', '', {_CHANNEL}, key FROM device
    WHERE updated_at >= :since AND state = 'retired'
    """,  # noqa: S608 - our own words
)


def upgrade() -> None:
    """What is known of the last days is taken over."""
    op.create_table(
        "loss",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "at", "person", "kind", "category", "channel", "device"),
        sqlite_with_rowid=False,
    )
    op.create_index("loss_person", "loss", ["person"])
    counts = ("reached", "delivered", "tapped", "lost", "opt_outs", "permissions", "subscriptions")
    op.create_table(
        "loss_count",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("dimension", sa.Text(), nullable=False),
        sa.Column("day", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in counts),
        sa.PrimaryKeyConstraint("project", "dimension", "day", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "loss_alert",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("dimension", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("reached", sa.BigInteger(), nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.Column("usual_reached", sa.BigInteger(), nullable=False),
        sa.Column("usual_lost", sa.BigInteger(), nullable=False),
        sa.Column("ratio_low", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("project", "dimension", "name"),
    )
    for index, moment in (("notification_planned", "send_at"), ("notification_fired", "fired_at")):
        told = sa.text(f"{moment} IS NOT NULL")
        op.create_index(index, "notification", ["project", moment], sqlite_where=told, postgresql_where=told)
    since = {"since": time.time_ns() // 1_000_000 - _DAYS_MS}
    for statement in _KNOWN:
        op.get_bind().execute(sa.text(statement), since)
