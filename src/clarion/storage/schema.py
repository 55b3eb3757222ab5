"""The one description of the database, for both engines: tables, keys and the few indexes that a query needs.

Inside, everything is found by integer keys; public ids are text and live in unique indexes at the edge. All times are
milliseconds since the epoch, UTC. The table of users is called `person` because `user` is a reserved word in SQL.

There are no foreign keys: rows come and go by the million in batches, a check for each would cost more than the row,
and every deletion is one of a few verbs in this folder. An index is paid for by every row: here is what a query needs.
"""

from typing import Any, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

T = TypeVar("T")

metadata = MetaData()

# SQLite gives automatic keys to INTEGER only; it is 64 bits wide there as well.
_KEY = BigInteger().with_variant(Integer(), "sqlite")
_DOCUMENT = JSON().with_variant(JSONB(), "postgresql")


def _key() -> Column[int]:
    return Column("key", _KEY, primary_key=True, autoincrement=True)


def _column(name: str, type_: TypeEngine[T] | type[TypeEngine[T]], *, null: bool = False) -> Column[T]:
    return Column(name, type_, nullable=null)


def _where(condition: str) -> dict[str, Any]:
    """Makes an index leave out the rows that no query looks for there."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


project = Table(
    "project",
    metadata,
    _key(),
    _column("id", Text),
    _column("name", Text),
    _column("settings", Text),
    _column("vapid_public_key", Text),
    _column("identity_key", LargeBinary, null=True),
    _column("created_at", BigInteger),
    Index("project_id", "id", unique=True),
    sqlite_autoincrement=True,
)

api_key = Table(
    "api_key",
    metadata,
    _key(),
    _column("id", Text),
    _column("project", BigInteger),
    _column("kind", Text),
    _column("name", Text),
    _column("scopes", Text),
    _column("hint", Text),
    _column("hash", LargeBinary),
    _column("created_at", BigInteger),
    _column("revoked_at", BigInteger, null=True),
    Index("api_key_hash", "hash", unique=True),
    Index("api_key_id", "project", "id", unique=True),
    sqlite_autoincrement=True,
)

credential = Table(
    "credential",
    metadata,
    _column("project", BigInteger),
    _column("kind", Text),
    _column("name", Text),
    _column("sealed", LargeBinary),
    _column("created_at", BigInteger),
    _column("rate", Integer, null=True),
    Column(
        "paced_until", BigInteger, nullable=False, server_default=text("0")
    ),  # in microseconds: what left is paid until
    PrimaryKeyConstraint("project", "kind", "name"),
)

stoppage = Table(
    "stoppage",
    metadata,
    _column("project", BigInteger),
    _column("kind", Text),
    _column("lane", Text),
    _column("reason", Text),
    _column("detail", Text),
    _column("credential", Text, null=True),
    _column("since", BigInteger),
    _column("again_at", BigInteger),
    _column("failures", Integer),
    PrimaryKeyConstraint("project", "kind", "lane"),
)

definition = Table(
    "definition",
    metadata,
    _column("project", BigInteger),
    _column("kind", Text),
    _column("name", Text),
    _column("body", Text),
    _column("updated_at", BigInteger),
    PrimaryKeyConstraint("project", "kind", "name"),
)

# Keys of people, devices, events and messages are never given twice: tokens and waiting work still name them.
person = Table(
    "person",
    metadata,
    _key(),
    _column("project", BigInteger),
    _column("id", Text),
    _column("attributes", _DOCUMENT),
    _column("locale", Text, null=True),
    _column("timezone", Text, null=True),
    _column("email", Text, null=True),
    _column("phone", Text, null=True),
    _column("anonymous", Boolean),
    _column("created_at", BigInteger),
    _column("updated_at", BigInteger),
    Index("person_id", "project", "id", unique=True),
    Index("person_span", "project", "key"),  # an audience walks the people of a project in key order
    sqlite_autoincrement=True,
)

# Who an anonymous person turned out to be: receipts and outcomes on their way still carry the former key.
merged = Table(
    "merged",
    metadata,
    _column("project", BigInteger),
    Column("former", _KEY, primary_key=True, autoincrement=False),
    _column("person", BigInteger),
    Index("merged_person", "person"),
)

# Who was erased or merged of late, by keys alone: what was prepared for them must not be sent.
departed = Table(
    "departed",
    metadata,
    _column("project", BigInteger),
    _column("at", BigInteger),
    _column("person", BigInteger),
    _column("successor", BigInteger, null=True),  # none: erased
    PrimaryKeyConstraint("project", "at", "person"),
    sqlite_with_rowid=False,
)

device = Table(
    "device",
    metadata,
    _key(),
    _column("project", BigInteger),
    _column("id", Text),
    _column("person", BigInteger),
    _column("kind", Text),
    _column("address", Text, null=True),
    _column("permission", Text),
    _column("state", Text),  # a DeviceState, or `deleted`: the trail still names the device
    _column("state_reason", Text, null=True),
    _column("locale", Text, null=True),
    _column("timezone", Text, null=True),
    _column("app_version", Text, null=True),
    _column("model", Text, null=True),
    _column("installation", Text, null=True),
    _column("details", Text),
    _column("registered_at", BigInteger),
    _column("created_at", BigInteger),
    _column("updated_at", BigInteger),
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
        **_where("address IS NOT NULL"),
    ),
    Index(
        "device_installation",
        "project",
        "kind",
        "installation",
        unique=True,
        **_where("installation IS NOT NULL"),
    ),
    Index("device_quarantined", "project", "kind", "updated_at", **_where("state = 'quarantined'")),
    sqlite_autoincrement=True,
)

consent = Table(
    "consent",
    metadata,
    _key(),
    _column("project", BigInteger),
    _column("person", BigInteger),
    _column("category", Text),
    _column("channel", Text),
    _column("granted", Boolean),
    _column("source", Text),
    _column("wording", Text, null=True),
    _column("at", BigInteger),
    _column("wording_version", Text, null=True),
    _column("said_at", BigInteger, null=True),  # when it was told elsewhere, earlier than `at`
    Index("consent_person", "person"),  # a person has few lines; the last one of a category and channel counts
    Index("consent_changed", "project", "at"),
    sqlite_autoincrement=True,
)

# What people asked for themselves. A row stays when all is taken back: what was armed meanwhile looks for changes.
person_preference = Table(
    "person_preference",
    metadata,
    _column("project", BigInteger),
    Column("person", _KEY, primary_key=True, autoincrement=False),
    _column("quiet_start", SmallInteger, null=True),  # minutes of the day; with them `quiet_end`
    _column("quiet_end", SmallInteger, null=True),
    _column("quiet_days", Text, null=True),  # "mon fri"; none: every day
    _column("marketing_paused_until", BigInteger, null=True),
    _column("updated_at", BigInteger),
    Index("person_preference_changed", "project", "updated_at"),
)

event = Table(
    "event",
    metadata,
    _key(),
    _column("project", BigInteger),
    _column("person", BigInteger),
    _column("name", Text),
    _column("properties", _DOCUMENT),
    _column("occurred_at", BigInteger),
    _column("id", Text, null=True),
    Index("event_person", "person", "occurred_at"),
    Index(
        "event_id",
        "project",
        "id",
        unique=True,
        **_where("id IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

notification = Table(
    "notification",
    metadata,
    _key(),
    _column("project", BigInteger),
    _column("id", Text),
    _column("request", Text),
    _column("created_at", BigInteger),
    _column("send_at", BigInteger, null=True),
    _column("cancelled_at", BigInteger, null=True),
    _column("automation", Text, null=True),
    _column("event", BigInteger, null=True),
    _column("armed_until", BigInteger, null=True),
    _column("fired_at", BigInteger, null=True),
    Index("notification_id", "project", "id", unique=True),
    Index("notification_span", "project", "key"),
    sqlite_autoincrement=True,
)

# What the gates of a decision said. Thousands of decisions share the same words, so each text stands here once, under
# its hash: written out in every decision it costs as much as all the rest of it together.
gate_record = Table(
    "gate_record",
    metadata,
    _column("project", BigInteger),
    _column("hash", BigInteger),
    _column("gates", Text),
    PrimaryKeyConstraint("project", "hash"),
)

# The verdict follows from the reason. A notification is written in order of people, so that the key grows at its end.
decision = Table(
    "decision",
    metadata,
    _column("project", BigInteger),
    _column("notification", BigInteger),
    _column("person", BigInteger),
    _column("reason", Text),
    _column("until", BigInteger, null=True),
    _column("gates", BigInteger),  # the hash of its gate_record
    _column("at", BigInteger),
    _column("revision", SmallInteger),
    PrimaryKeyConstraint("project", "notification", "person"),
    Index("decision_person", "person", "notification"),  # everything about a person starts here
    Index("decision_waiting", "person", "notification", **_where("reason = 'cap_wait'")),
    sqlite_with_rowid=False,
)

# When it was queued is the time of its decision. A row changes once or twice soon after it was written: PostgreSQL gets
# room for that beside it.
delivery = Table(
    "delivery",
    metadata,
    _column("project", BigInteger),
    _column("notification", BigInteger),
    _column("person", BigInteger),
    _column("device", BigInteger),
    _column("kind", Text),
    _column("state", SmallInteger),
    _column("reason", Text, null=True),
    _column("provider_id", Text, null=True),
    _column("attempts", SmallInteger),
    _column("updated_at", BigInteger),
    PrimaryKeyConstraint("project", "notification", "person", "device"),
    sqlite_with_rowid=False,
    postgresql_with={"fillfactor": 50},
)

receipt = Table(
    "receipt",
    metadata,
    _column("project", BigInteger),
    _column("notification", BigInteger),
    _column("person", BigInteger),
    _column("device", BigInteger),
    _column("kind", Text),
    _column("action", Text),  # empty for none: part of the key, so that a repetition counts once
    _column("at", BigInteger),
    PrimaryKeyConstraint("project", "notification", "person", "device", "kind", "action"),
    sqlite_with_rowid=False,
)

sent_content = Table(
    "sent_content",
    metadata,
    _column("project", BigInteger),
    _column("person", BigInteger),
    _column("hash", BigInteger),
    _column("at", BigInteger),
    PrimaryKeyConstraint("person", "hash"),
    sqlite_with_rowid=False,
)

# The places that sent notifications take under caps, only while their project has caps.
sent_log = Table(
    "sent_log",
    metadata,
    _column("project", BigInteger),
    _column("person", BigInteger),
    _column("at", BigInteger),
    _column("notification", BigInteger),
    _column("category", Text),
    _column("class", Text),
    _column("channel", Text),
    _column("armed", Boolean),  # it counts from its fire, and until then `at` is the latest that it may be fired
    PrimaryKeyConstraint("person", "at", "notification"),
    sqlite_with_rowid=False,
)

# A leased job is due again when its lease runs out, so `due_at` alone says what may be claimed.
work = Table(
    "work",
    metadata,
    _key(),
    _column("project", BigInteger),
    _column("queue", Text),
    _column("due_at", BigInteger),
    _column("attempts", SmallInteger),
    _column("lease", BigInteger, null=True),
    _column("notification", BigInteger, null=True),
    _column("ends_at", BigInteger, null=True),  # not put off beyond that: a message has expired, or all is cancelled
    Index("work_due", "queue", "due_at", "key"),  # a batch is due at one moment: to the oldest without a sort
    Index(
        "work_notification",
        "notification",
        **_where("notification IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

# Apart from `work`, because SQLite rewrites a whole row to change one field of it, and a body may be half a megabyte.
work_body = Table(
    "work_body",
    metadata,
    Column("work", _KEY, primary_key=True, autoincrement=False),
    _column("body", LargeBinary),
)

idempotency = Table(
    "idempotency",
    metadata,
    _column("project", BigInteger),
    _column("key", Text),
    _column("request_hash", LargeBinary),
    _column("status", SmallInteger),
    _column("body", LargeBinary),
    _column("created_at", BigInteger),
    PrimaryKeyConstraint("project", "key"),
    Index("idempotency_age", "created_at"),
)

push_device = Table(
    "push_device",
    metadata,
    _key(),
    _column("uaid", Text),
    _column("node", Text, null=True),
    _column("seen_at", BigInteger),
    Index("push_device_uaid", "uaid", unique=True),
    sqlite_autoincrement=True,
)

# Whether what the rows above say of their nodes is true: a process that was killed gives no sign of life any more.
push_node = Table(
    "push_node",
    metadata,
    Column("id", Text, primary_key=True),
    _column("seen_at", BigInteger),
)

push_broadcast = Table(
    "push_broadcast",
    metadata,
    Column("id", Text, primary_key=True),
    _column("version", Text),
    _column("updated_at", BigInteger),
)

push_channel = Table(
    "push_channel",
    metadata,
    _key(),
    _column("device", BigInteger),
    _column("channel_id", Text),
    _column("vapid", Text, null=True),
    _column("app", Text, null=True),
    Index("push_channel_id", "device", "channel_id", unique=True),
    sqlite_autoincrement=True,
)

# Without `data` a message is done with (acknowledged, deleted, replaced); it stays until it would have expired only to
# remember its `source`.
push_message = Table(
    "push_message",
    metadata,
    _key(),
    _column("channel", BigInteger),
    _column("device", BigInteger),
    _column("data", LargeBinary, null=True),
    _column("headers", Text),
    _column("topic", Text, null=True),
    _column("urgency", Text),
    _column("source", LargeBinary, null=True),
    _column("sent_at", BigInteger),
    _column("expires_at", BigInteger),
    Index(
        "push_message_waiting",
        "device",
        "key",
        **_where("data IS NOT NULL"),
    ),
    Index(
        "push_message_topic",
        "channel",
        "topic",
        unique=True,
        **_where("topic IS NOT NULL AND data IS NOT NULL"),
    ),
    Index(
        "push_message_source",
        "source",
        unique=True,
        **_where("source IS NOT NULL"),
    ),
    Index("push_message_expiry", "expires_at"),
    sqlite_autoincrement=True,
)
