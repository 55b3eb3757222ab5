"""What Chromium calls its channels.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """A column that channels of the autopush protocol leave empty."""
    op.add_column("push_channel", sa.Column("app", sa.Text(), nullable=True))
