"""When things happen, as receipts tell it."""

from datetime import UTC, datetime


def now() -> str:
    """RFC 3339 in UTC with milliseconds: `2026-11-22T17:00:00.000Z`."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
