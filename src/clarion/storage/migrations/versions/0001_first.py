"""The first schema.

Revision ID: 0001
Revises:
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOCUMENT = sa.JSON().with_variant(JSONB(), "postgresql")


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


def upgrade() -> None:
    """From nothing."""
    _projects()
    _people()
    _trail()
    _work()
    _push_service()


def _projects() -> None:

    op.create_table(
        "project",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("vapid_public_key", sa.Text(), nullable=False),
        sa.Column("identity_key", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index("project_id", "project", ["id"], unique=True)
    op.create_table(
        "api_key",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index("api_key_hash", "api_key", ["hash"], unique=True)
    op.create_index("api_key_id", "api_key", ["project", "id"], unique=True)
    op.create_table(
        "credential",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "kind", "name"),
    )
    op.create_table(
        "definition",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "kind", "name"),
    )


def _people() -> None:

    op.create_table(
        "person",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("attributes", DOCUMENT, nullable=False),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("timezone", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("anonymous", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index("person_id", "person", ["project", "id"], unique=True)
    op.create_index("person_span", "person", ["project", "key"])
    op.create_table(
        "merged",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("former", KEY, autoincrement=False, nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("former"),
    )
    op.create_index("merged_person", "merged", ["person"])
    op.create_table(
        "device",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("permission", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("timezone", sa.Text(), nullable=True),
        sa.Column("app_version", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("installation", sa.Text(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "device_address", "device", ["project", "kind", "address"], unique=True, **_where("address IS NOT NULL")
    )
    op.create_index("device_id", "device", ["project", "id"], unique=True)
    op.create_index(
        "device_installation",
        "device",
        ["project", "kind", "installation"],
        unique=True,
        **_where("installation IS NOT NULL"),
    )
    op.create_index("device_person", "device", ["person"])
    op.create_table(
        "consent",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("wording", sa.Text(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index("consent_person", "consent", ["person"])
    op.create_table(
        "event",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("properties", DOCUMENT, nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index("event_id", "event", ["project", "id"], unique=True, **_where("id IS NOT NULL"))
    op.create_index("event_person", "event", ["person", "occurred_at"])


def _trail() -> None:

    op.create_table(
        "notification",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("send_at", sa.BigInteger(), nullable=True),
        sa.Column("cancelled_at", sa.BigInteger(), nullable=True),
        sa.Column("automation", sa.Text(), nullable=True),
        sa.Column("event", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index("notification_id", "notification", ["project", "id"], unique=True)
    op.create_index("notification_span", "notification", ["project", "key"])
    op.create_table(
        "gate_record",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.BigInteger(), nullable=False),
        sa.Column("gates", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "hash"),
    )
    op.create_table(
        "decision",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("notification", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("gates", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "notification", "person"),
        sqlite_with_rowid=False,
    )
    op.create_index("decision_person", "decision", ["person", "notification"])
    op.create_table(
        "delivery",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("notification", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "notification", "person", "device"),
        postgresql_with={"fillfactor": 50},
        sqlite_with_rowid=False,
    )
    op.create_table(
        "receipt",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("notification", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "notification", "person", "device", "kind", "action"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sent_content",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("person", "hash"),
        sqlite_with_rowid=False,
    )


def _work() -> None:

    op.create_table(
        "work",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("lease", sa.BigInteger(), nullable=True),
        sa.Column("notification", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index("work_due", "work", ["queue", "due_at"])
    op.create_index("work_notification", "work", ["notification"], **_where("notification IS NOT NULL"))
    op.create_table(
        "work_body",
        sa.Column("work", KEY, autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("work"),
    )
    op.create_table(
        "idempotency",
        sa.Column("project", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project", "key"),
    )
    op.create_index("idempotency_age", "idempotency", ["created_at"])


def _push_service() -> None:

    op.create_table(
        "push_device",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("uaid", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index("push_device_uaid", "push_device", ["uaid"], unique=True)
    op.create_table(
        "push_channel",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("vapid", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index("push_channel_id", "push_channel", ["device", "channel_id"], unique=True)
    op.create_table(
        "push_message",
        sa.Column("key", KEY, autoincrement=True, nullable=False),
        sa.Column("channel", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=True),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("source", sa.LargeBinary(), nullable=True),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_autoincrement=True,
    )
    op.create_index("push_message_expiry", "push_message", ["expires_at"])
    op.create_index("push_message_source", "push_message", ["source"], unique=True, **_where("source IS NOT NULL"))
    op.create_index(
        "push_message_topic",
        "push_message",
        ["channel", "topic"],
        unique=True,
        **_where("topic IS NOT NULL AND data IS NOT NULL"),
    )
    op.create_index("push_message_waiting", "push_message", ["device", "key"], **_where("data IS NOT NULL"))
