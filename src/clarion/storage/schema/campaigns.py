"""Campaigns: what is defined, and how far it is."""

from sqlalchemy import BigInteger, Index, PrimaryKeyConstraint, Table, Text

from clarion.storage.schema.columns import column, metadata, where

# All that is known of it is in `record`; the other columns are what it is looked for by.
campaign = Table(
    "campaign",
    metadata,
    column("project", BigInteger),
    column("name", Text),
    column("state", Text),
    column("due_at", BigInteger, null=True),
    column("changed", BigInteger),
    column("record", Text),
    PrimaryKeyConstraint("project", "name"),
    Index("campaign_due", "due_at", **where("due_at IS NOT NULL")),
    Index("campaign_running", "project", **where("state = 'running'")),
)
