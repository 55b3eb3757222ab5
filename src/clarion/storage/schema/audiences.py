"""Lists of people that are kept: the subscribers of topics, segments that were uploaded."""

from sqlalchemy import BigInteger, Index, PrimaryKeyConstraint, Table, Text

from clarion.storage.schema.columns import column, key, metadata

roster = Table(
    "roster",
    metadata,
    key(),
    column("project", BigInteger),
    column("kind", Text),  # a RosterKind
    column("name", Text),
    column("created_at", BigInteger),
    Index("roster_name", "project", "kind", "name", unique=True),
    sqlite_autoincrement=True,
)

roster_member = Table(
    "roster_member",
    metadata,
    column("project", BigInteger),
    column("roster", BigInteger),
    column("person", BigInteger),
    PrimaryKeyConstraint("roster", "person"),
    Index("roster_member_person", "person"),
    sqlite_with_rowid=False,
)
