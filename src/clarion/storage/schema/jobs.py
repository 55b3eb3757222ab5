"""What waits to be done, what holds it up, and what was answered to whom may ask again."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, SmallInteger, Table, Text

from clarion.storage.schema.columns import KEY, column, key, metadata, where

stoppage = Table(
    "stoppage",
    metadata,
    column("project", BigInteger),
    column("kind", Text),
    column("lane", Text),
    column("reason", Text),
    column("detail", Text),
    column("credential", Text, null=True),
    column("since", BigInteger),
    column("again_at", BigInteger),
    column("failures", Integer),
    PrimaryKeyConstraint("project", "kind", "lane"),
)

# A leased job is due again when its lease runs out, so `due_at` alone says what may be claimed.
work = Table(
    "work",
    metadata,
    key(),
    column("project", BigInteger),
    column("queue", Text),
    column("due_at", BigInteger),
    column("attempts", SmallInteger),
    column("lease", BigInteger, null=True),
    column("notification", BigInteger, null=True),
    column("ends_at", BigInteger, null=True),  # not put off beyond that: a message has expired, or all is cancelled
    Index("work_due", "queue", "due_at", "key"),  # a batch is due at one moment: to the oldest without a sort
    Index(
        "work_notification",
        "notification",
        **where("notification IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

# Apart from `work`, because SQLite rewrites a whole row to change one field of it, and a body may be half a megabyte.
work_body = Table(
    "work_body",
    metadata,
    Column("work", KEY, primary_key=True, autoincrement=False),
    column("body", LargeBinary),
)

idempotency = Table(
    "idempotency",
    metadata,
    column("project", BigInteger),
    column("key", Text),
    column("request_hash", LargeBinary),
    column("status", SmallInteger),
    column("body", LargeBinary),
    column("created_at", BigInteger),
    PrimaryKeyConstraint("project", "key"),
    Index("idempotency_age", "created_at"),
)
