"""Where people are in automations."""

from sqlalchemy import BigInteger, Boolean, Index, Integer, Table, Text

from clarion.storage.schema.columns import column, key, metadata, where

# One row for each person and key, which the next run takes over: `model.Run` in columns.
automation_run = Table(
    "automation_run",
    metadata,
    key(),
    column("project", BigInteger),
    column("automation", Text),
    column("version", Integer),
    column("person", BigInteger),
    column("run_key", Text),
    column("step", Integer),
    column("waits", Boolean),
    column("due_at", BigInteger, null=True),
    column("began_at", BigInteger),
    column("since", BigInteger),
    column("event", BigInteger, null=True),
    column("data", Text),
    column("moves", Integer),
    column("ended", Text, null=True),
    Index("automation_run_identity", "project", "automation", "run_key", "person", unique=True),
    Index("automation_run_due", "due_at", **where("due_at IS NOT NULL")),  # who waits is not looked at
    Index("automation_run_person", "person"),  # an event asks for those under way
    sqlite_autoincrement=True,
)
