"""What Chromium calls its channels.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """A column that channels of the autopush protocol leave empty."""
    op.add_column("push_channel", sa.Column("app", sa.Text(), nullable=True))
