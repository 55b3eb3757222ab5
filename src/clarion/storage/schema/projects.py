"""Projects: who they are, their keys and credentials, and what they define."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table, Text, text

from clarion.storage.schema.columns import column, key, metadata

project = Table(
    "project",
    metadata,
    key(),
    column("id", Text),
    column("name", Text),
    column("settings", Text),
    column("vapid_public_key", Text),
    column("identity_key", LargeBinary, null=True),
    column("created_at", BigInteger),
    Index("project_id", "id", unique=True),
    sqlite_autoincrement=True,
)

api_key = Table(
    "api_key",
    metadata,
    key(),
    column("id", Text),
    column("project", BigInteger),
    column("kind", Text),
    column("name", Text),
    column("scopes", Text),
    column("hint", Text),
    column("hash", LargeBinary),
    column("created_at", BigInteger),
    column("revoked_at", BigInteger, null=True),
    Index("api_key_hash", "hash", unique=True),
    Index("api_key_id", "project", "id", unique=True),
    sqlite_autoincrement=True,
)

credential = Table(
    "credential",
    metadata,
    column("project", BigInteger),
    column("kind", Text),
    column("name", Text),
    column("sealed", LargeBinary),
    column("created_at", BigInteger),
    column("rate", Integer, null=True),
    Column(
        "paced_until", BigInteger, nullable=False, server_default=text("0")
    ),  # in microseconds: what left is paid until
    PrimaryKeyConstraint("project", "kind", "name"),
)

definition = Table(
    "definition",
    metadata,
    column("project", BigInteger),
    column("kind", Text),
    column("name", Text),
    column("body", Text),
    column("updated_at", BigInteger),
    PrimaryKeyConstraint("project", "kind", "name"),
)
