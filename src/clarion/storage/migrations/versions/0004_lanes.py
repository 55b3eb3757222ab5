"""The lane of each device: the push service that its messages go to, as one credential sees it.

Revision ID: 0004
Revises: 0003
"""

from urllib.parse import urlsplit
from zlib import crc32

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

BATCH = 5_000


def upgrade() -> None:
    """A column, filled for the devices that are there; our own push service's get theirs when they come again.

    Deliveries that wait go into the queue of their project's lane without a name, where others look for them now.
    And the order of a queue's jobs that are due at the same time: a lane that is held back has them by the thousand.
    """
    op.execute("UPDATE work SET queue = queue || '.' || project || '.' WHERE queue LIKE 'deliver.%'")
    op.drop_index("work_due", "work")
    op.create_index("work_due", "work", ["queue", "due_at", "key"])
    op.add_column("device", sa.Column("lane", sa.Text(), nullable=False, server_default=sa.text("''")))
    conn = op.get_bind()
    page = sa.text(
        "SELECT key, kind, address, details FROM device WHERE key > :after AND kind IN ('apns', 'webpush') "
        "AND address IS NOT NULL ORDER BY key LIMIT :size"
    )
    fill = sa.text("UPDATE device SET lane = :lane WHERE key = :key")
    after = 0
    while rows := conn.execute(page, {"after": after, "size": BATCH}).all():
        conn.execute(fill, [{"key": row.key, "lane": _lane(row.kind, row.address, row.details)} for row in rows])
        after = rows[-1].key


def _lane(kind: str, address: str, details: str) -> str:
    """As `journey.registration` had it when this was written."""
    if kind == "apns":
        told = msgspec.json.decode(details, type=dict[str, str])
        bundle_id = told.get("bundle_id", "")
        name = bundle_id if bundle_id.isascii() and bundle_id.isprintable() else "?"
        return f"{told.get('environment', 'production')}/{name}"
    try:
        host = (urlsplit(address).hostname or "").removesuffix(".")
    except ValueError:
        host = ""
    if host in {"fcm.googleapis.com", "updates.push.services.mozilla.com"}:
        return host
    if host.endswith(".push.apple.com"):
        return "web.push.apple.com"
    if host.endswith(".notify.windows.com"):
        return "notify.windows.com"
    return f"other-{crc32(host.encode()) % 64:02}"
