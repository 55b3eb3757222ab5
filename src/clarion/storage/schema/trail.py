"""The way of each notification: what set it off, what was decided, delivered and answered."""

from sqlalchemy import BigInteger, Boolean, Index, PrimaryKeyConstraint, SmallInteger, Table, Text

from clarion.storage.schema.columns import DOCUMENT, column, key, metadata, sqlite_metadata, where

event = Table(
    "event",
    metadata,
    key(),
    column("project", BigInteger),
    column("person", BigInteger),
    column("name", Text),
    column("properties", DOCUMENT),
    column("occurred_at", BigInteger),
    column("id", Text, null=True),
    # SQLite has `person_event` for this.
    Index("event_person", "person", "name", "occurred_at").ddl_if(dialect="postgresql"),
    Index("event_named", "name", "project", "occurred_at", "person"),  # who did it of late: segments
    sqlite_autoincrement=True,
    postgresql_partition_by="RANGE (key)",  # parts are made and dropped by `events`
)

# Events by their people, on SQLite alone, where triggers on `event` write them: `storage.person_events` says why. The
# triggers are in the migration that makes them.
person_event, person_event_new = (
    Table(
        name,
        sqlite_metadata,
        column("project", BigInteger),
        column("person", BigInteger),
        column("name", Text),
        column("occurred_at", BigInteger),
        column("event", BigInteger),
        PrimaryKeyConstraint("person", "name", "occurred_at", "event"),
        sqlite_with_rowid=False,
    )
    for name in ("person_event", "person_event_new")
)

# The ids that callers gave, each once: apart, because PostgreSQL keeps nothing unique across the parts of a table.
event_known = Table(
    "event_known",
    metadata,
    column("project", BigInteger),
    column("id", Text),
    column("event", BigInteger),
    PrimaryKeyConstraint("project", "id"),
    sqlite_with_rowid=False,
)

notification = Table(
    "notification",
    metadata,
    key(),
    column("project", BigInteger),
    column("id", Text),
    column("request", Text),
    column("created_at", BigInteger),
    column("send_at", BigInteger, null=True),
    column("cancelled_at", BigInteger, null=True),
    column("automation", Text, null=True),
    column("event", BigInteger, null=True),
    column("armed_until", BigInteger, null=True),
    column("fired_at", BigInteger, null=True),
    column("updates", BigInteger, null=True),  # the first one, whose place it takes on screens
    column("updated_by", BigInteger, null=True),  # the newest update of the first, of which this is the first or one
    column("campaign", Text, null=True),
    column("paused_at", BigInteger, null=True),
    Index("notification_id", "project", "id", unique=True),
    Index("notification_span", "project", "key"),
    Index("notification_updates", "updates", "key", **where("updates IS NOT NULL")),
    # What was sent at another time than it was made; the others are found by their keys, which rise with time.
    Index("notification_planned", "project", "send_at", **where("send_at IS NOT NULL")),
    Index("notification_campaign", "project", "campaign", "key", **where("campaign IS NOT NULL")),
    Index("notification_fired", "project", "fired_at", **where("fired_at IS NOT NULL")),
    sqlite_autoincrement=True,
)

# What the gates of a decision said. Thousands of decisions share the same words, so each text stands here once, under
# its hash: written out in every decision it costs as much as all the rest of it together.
gate_record = Table(
    "gate_record",
    metadata,
    column("project", BigInteger),
    column("hash", BigInteger),
    column("gates", Text),
    PrimaryKeyConstraint("project", "hash"),
)

# The verdict follows from the reason. A notification is written in order of people, so that the key grows at its end.
decision = Table(
    "decision",
    metadata,
    column("project", BigInteger),
    column("notification", BigInteger),
    column("person", BigInteger),
    column("reason", Text),
    column("until", BigInteger, null=True),
    column("gates", BigInteger),  # the hash of its gate_record
    column("at", BigInteger),
    column("revision", SmallInteger),
    PrimaryKeyConstraint("project", "notification", "person"),
    Index("decision_person", "person", "notification"),  # everything about a person starts here
    Index("decision_waiting", "person", "notification", **where("reason = 'cap_wait'")),
    sqlite_with_rowid=False,
)

# When it was queued is the time of its decision. A row changes once or twice soon after it was written: PostgreSQL gets
# room for that beside it.
delivery = Table(
    "delivery",
    metadata,
    column("project", BigInteger),
    column("notification", BigInteger),
    column("person", BigInteger),
    column("device", BigInteger),
    column("kind", Text),
    column("state", SmallInteger),
    column("reason", Text, null=True),
    column("provider_id", Text, null=True),
    column("attempts", SmallInteger),
    column("updated_at", BigInteger),
    PrimaryKeyConstraint("project", "notification", "person", "device"),
    sqlite_with_rowid=False,
    postgresql_with={"fillfactor": 50},
)

receipt = Table(
    "receipt",
    metadata,
    column("project", BigInteger),
    column("notification", BigInteger),
    column("person", BigInteger),
    column("device", BigInteger),
    column("kind", Text),
    column("action", Text),  # empty for none: part of the key, so that a repetition counts once
    column("at", BigInteger),
    PrimaryKeyConstraint("project", "notification", "person", "device", "kind", "action"),
    sqlite_with_rowid=False,
)

# Which variant took over, written once; none: nobody won, and everybody keeps the variant that is theirs.
experiment_winner = Table(
    "experiment_winner",
    metadata,
    column("project", BigInteger),
    column("notification", BigInteger),
    column("variant", Text, null=True),
    column("at", BigInteger),
    PrimaryKeyConstraint("project", "notification"),
    sqlite_with_rowid=False,
)

sent_content = Table(
    "sent_content",
    metadata,
    column("project", BigInteger),
    column("person", BigInteger),
    column("hash", BigInteger),
    column("at", BigInteger),
    PrimaryKeyConstraint("person", "hash"),
    sqlite_with_rowid=False,
)

# What waits for a digest of a person, and what was sent in one: only where a category has digests.
digest_item = Table(
    "digest_item",
    metadata,
    column("project", BigInteger),
    column("person", BigInteger),
    column("notification", BigInteger),
    column("gathering", BigInteger),  # the hash of what it waits with
    column("at", BigInteger),
    column("digest", BigInteger, null=True),  # none: it waits
    PrimaryKeyConstraint("person", "notification"),
    Index("digest_item_waiting", "person", **where("digest IS NULL")),
    sqlite_with_rowid=False,
)

# The places that sent notifications take under caps, only while their project has caps.
sent_log = Table(
    "sent_log",
    metadata,
    column("project", BigInteger),
    column("person", BigInteger),
    column("at", BigInteger),
    column("notification", BigInteger),
    column("category", Text),
    column("class", Text),
    column("channel", Text),
    column("armed", Boolean),  # it counts from its fire, and until then `at` is the latest that it may be fired
    PrimaryKeyConstraint("person", "at", "notification"),
    sqlite_with_rowid=False,
)
