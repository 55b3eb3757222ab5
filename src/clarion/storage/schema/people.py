"""People and their devices, what they agreed to and what they asked for."""

from sqlalchemy import BigInteger, Boolean, Column, Index, PrimaryKeyConstraint, SmallInteger, Table, Text, text

from clarion.storage.schema.columns import DOCUMENT, KEY, column, key, metadata, where

# Keys of people, devices, events and messages are never given twice: tokens and waiting work still name them.
person = Table(
    "person",
    metadata,
    key(),
    column("project", BigInteger),
    column("id", Text),
    column("attributes", DOCUMENT),
    column("locale", Text, null=True),
    column("timezone", Text, null=True),
    column("email", Text, null=True),
    column("phone", Text, null=True),
    column("anonymous", Boolean),
    column("created_at", BigInteger),
    column("updated_at", BigInteger),
    Column("bucket", BigInteger, nullable=False, server_default=text("0")),  # see `model.segments.bucket_of`
    Index("person_id", "project", "id", unique=True),
    Index("person_span", "project", "key"),  # an audience walks the people of a project in key order
    sqlite_autoincrement=True,
)

# Who an anonymous person turned out to be: receipts and outcomes on their way still carry the former key.
merged = Table(
    "merged",
    metadata,
    column("project", BigInteger),
    Column("former", KEY, primary_key=True, autoincrement=False),
    column("person", BigInteger),
    Index("merged_person", "person"),
)

# Who was erased or merged of late, by keys alone: what was prepared for them must not be sent.
departed = Table(
    "departed",
    metadata,
    column("project", BigInteger),
    column("at", BigInteger),
    column("person", BigInteger),
    column("successor", BigInteger, null=True),  # none: erased
    PrimaryKeyConstraint("project", "at", "person"),
    sqlite_with_rowid=False,
)

# Whose device went to somebody else of late, by keys alone: what was prepared for it must be decided anew.
handed_on = Table(
    "handed_on",
    metadata,
    column("project", BigInteger),
    column("at", BigInteger),
    column("person", BigInteger),
    PrimaryKeyConstraint("project", "at", "person"),
    sqlite_with_rowid=False,
)

device = Table(
    "device",
    metadata,
    key(),
    column("project", BigInteger),
    column("id", Text),
    column("person", BigInteger),
    column("kind", Text),
    column("address", Text, null=True),
    column("permission", Text),
    column("state", Text),  # a DeviceState, or `deleted`: the trail still names the device
    column("state_reason", Text, null=True),
    column("locale", Text, null=True),
    column("timezone", Text, null=True),
    column("app_version", Text, null=True),
    column("model", Text, null=True),
    column("installation", Text, null=True),
    column("details", Text),
    column("registered_at", BigInteger),
    column("created_at", BigInteger),
    column("updated_at", BigInteger),
    Column("lane", Text, nullable=False, server_default=text("''")),  # where its messages go, see `model.Registration`
    Index("device_id", "project", "id", unique=True),
    Index("device_person", "person"),
    Index("device_changed", "project", "updated_at"),  # what changed while something was armed
    Index(
        "device_address",
        "project",
        "kind",
        "address",
        unique=True,
        **where("address IS NOT NULL"),
    ),
    Index(
        "device_installation",
        "project",
        "kind",
        "installation",
        unique=True,
        **where("installation IS NOT NULL"),
    ),
    Index("device_quarantined", "project", "kind", "updated_at", **where("state = 'quarantined'")),
    sqlite_autoincrement=True,
)

consent = Table(
    "consent",
    metadata,
    key(),
    column("project", BigInteger),
    column("person", BigInteger),
    column("category", Text),
    column("channel", Text),
    column("granted", Boolean),
    column("source", Text),
    column("wording", Text, null=True),
    column("at", BigInteger),
    column("wording_version", Text, null=True),
    column("said_at", BigInteger, null=True),  # when it was told elsewhere, earlier than `at`
    Index("consent_person", "person"),  # a person has few lines; the last one of a category and channel counts
    Index("consent_changed", "project", "at"),
    sqlite_autoincrement=True,
)

# What people asked for themselves. A row stays when all is taken back: what was armed meanwhile looks for changes.
person_preference = Table(
    "person_preference",
    metadata,
    column("project", BigInteger),
    Column("person", KEY, primary_key=True, autoincrement=False),
    column("quiet_start", SmallInteger, null=True),  # minutes of the day; with them `quiet_end`
    column("quiet_end", SmallInteger, null=True),
    column("quiet_days", Text, null=True),  # "mon fri"; none: every day
    column("marketing_paused_until", BigInteger, null=True),
    column("updated_at", BigInteger),
    Index("person_preference_changed", "project", "updated_at"),
)
