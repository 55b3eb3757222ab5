"""Our own push service: its devices, their channels and the messages that wait for them."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from clarion.storage.schema.columns import column, key, metadata, where

push_device = Table(
    "push_device",
    metadata,
    key(),
    column("uaid", Text),
    column("node", Text, null=True),
    column("seen_at", BigInteger),
    Index("push_device_uaid", "uaid", unique=True),
    sqlite_autoincrement=True,
)

# Whether what the rows above say of their nodes is true: a process that was killed gives no sign of life any more.
push_node = Table(
    "push_node",
    metadata,
    Column("id", Text, primary_key=True),
    column("seen_at", BigInteger),
)

push_broadcast = Table(
    "push_broadcast",
    metadata,
    Column("id", Text, primary_key=True),
    column("version", Text),
    column("updated_at", BigInteger),
)

push_channel = Table(
    "push_channel",
    metadata,
    key(),
    column("device", BigInteger),
    column("channel_id", Text),
    column("vapid", Text, null=True),
    column("app", Text, null=True),
    Index("push_channel_id", "device", "channel_id", unique=True),
    sqlite_autoincrement=True,
)

# Without `data` a message is done with (acknowledged, deleted, replaced); it stays until it would have expired only to
# remember its `source`.
push_message = Table(
    "push_message",
    metadata,
    key(),
    column("channel", BigInteger),
    column("device", BigInteger),
    column("data", LargeBinary, null=True),
    column("headers", Text),
    column("topic", Text, null=True),
    column("urgency", Text),
    column("source", LargeBinary, null=True),
    column("sent_at", BigInteger),
    column("expires_at", BigInteger),
    Index(
        "push_message_waiting",
        "device",
        "key",
        **where("data IS NOT NULL"),
    ),
    Index(
        "push_message_topic",
        "channel",
        "topic",
        unique=True,
        **where("topic IS NOT NULL AND data IS NOT NULL"),
    ),
    Index(
        "push_message_source",
        "source",
        unique=True,
        **where("source IS NOT NULL"),
    ),
    Index("push_message_expiry", "expires_at"),
    sqlite_autoincrement=True,
)
