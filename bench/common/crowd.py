"""A crowd as a shop has one: people with everything that a decision looks at, so that each gate has something to say.

By number, without chance: each run decides about the same people, and no two properties go together.
"""

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple
from zlib import crc32

from clarion.journey.rules import content_hash
from clarion.model import (
    DAY_MS,
    Cap,
    Category,
    CategoryClass,
    Holdout,
    Message,
    Millis,
    ProjectSettings,
    QuietHours,
    Rolling,
    UnlessEvent,
)
from common.database import Database, Row

NOW: Millis = 1_795_366_800_000
"""22 November 2026, 17:00 UTC: evening in Europe, night in Asia, morning in America."""
CATEGORY = Category(name="offers", class_=CategoryClass.MARKETING)
SETTINGS = ProjectSettings(
    marketing_consent="opt_out",
    quiet_hours=QuietHours(start="22:00", end="08:00"),
    holdout_percent=5.0,
    caps=[
        Cap(name="weekly", limit=4, per=Rolling(seconds=7 * 86_400)),
        Cap(name="daily offers", limit=2, per="day", class_=CategoryClass.MARKETING, at_cap="wait"),
    ],
)
MESSAGE = Message(
    category=CATEGORY.name,
    title="Something for you, {{ user.first_name }}",
    body="Two days only: everything for the garden.",
    url="https://shop.example/garden",
    ttl=2 * 86_400,
    content_key="garden-2026",
    condition='user.plan != "guest"',
    unless_event=UnlessEvent(name="order_paid", where={"kind": "garden"}),
    holdout=Holdout(key="garden", percent=5.0),
)
ZONES = (
    "Europe/Berlin", "Europe/London", "Europe/Paris", "Europe/Madrid", "Europe/Warsaw", "Europe/Istanbul",
    "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Sao_Paulo",
    "America/Mexico_City", "Asia/Tokyo", "Asia/Kolkata", "Asia/Singapore", "Asia/Dubai", "Australia/Sydney",
    "Africa/Lagos", "Africa/Johannesburg", "Pacific/Auckland",
)  # fmt: skip
_PLANS = ("free", "pro", "free", "team", "free", "pro", "guest", "free")
_DETAILS = json.dumps({"p256dh": "B" * 87, "auth": "a" * 22, "vapid_public_key": "B" * 87})
_HOUR = 3_600_000
_BATCH = 10_000
_HASH = content_hash(MESSAGE.content_key or "")


class _Table(NamedTuple):
    """How to fill a table: the columns, and the rows of one person by their number (the key is theirs)."""

    name: str
    columns: tuple[str, ...]
    rows: Callable[[int, int, int], Iterator[Row]]


def fill(database: Database, project: int, count: int) -> Iterator[int]:
    """Add `count` people to a new project. Yields how many there are, from time to time."""
    for first in range(0, count, _BATCH):
        numbers = range(first, min(first + _BATCH, count))
        database.add("person", _PERSON, (_person(project, n) for n in numbers))
        key = database.one("SELECT max(key) FROM person WHERE project = ?", project) - len(numbers) + 1
        for table in _TABLES:
            rows = (row for n in numbers for row in table.rows(project, n, key + n - first))
            database.add(table.name, table.columns, rows)
        yield numbers.stop


def _share(number: int, about: int, percent: int) -> bool:
    """Whether a person is among so many; `about`: what, so that the answers have nothing to do with each other."""
    return crc32(f"{about} {number}".encode()) % 100 < percent


_PERSON = ("project", "id", "attributes", "locale", "timezone", "anonymous", "created_at", "updated_at")


def _person(project: int, n: int) -> Row:
    attributes = json.dumps({"first_name": "Ada", "plan": _PLANS[n % 8], "city": "Porto", "orders": n % 17})
    zone = ZONES[n % 20] if _share(n, 1, 60) else None
    return (project, f"user-{n}", attributes, "en" if n % 3 else "de", zone, False, NOW, NOW)


def _devices(project: int, n: int, person: int) -> Iterator[Row]:
    """Three of a hundred have none, ten of a hundred two, five of a hundred refuse in their browser."""
    count = 0 if _share(n, 2, 3) else 2 if _share(n, 3, 10) else 1
    for each in range(count):
        permission = "denied" if _share(n, 4, 5) else "granted"
        address = f"https://push.example/{n}/{each}"
        zone = ZONES[(n + each) % 20] if _share(n, 5, 90) else None
        yield (
            project, f"{n * 2 + each:032x}", person, "webpush", address, permission, "active", _DETAILS, zone,
            NOW - each, NOW, NOW,
        )  # fmt: skip


def _consents(project: int, n: int, person: int) -> Iterator[Row]:
    """Seventy of a hundred said something, an eighth of them no."""
    if _share(n, 6, 70):
        yield (project, person, CATEGORY.name, "push", not _share(n, 7, 12), "sdk", NOW - 30 * DAY_MS)


def _preferences(project: int, n: int, person: int) -> Iterator[Row]:
    """Eight of a hundred have quiet hours of their own, two paused marketing."""
    own, paused = _share(n, 8, 8), _share(n, 9, 2)
    if own or paused:
        begins = 20 * 60 + n % 5 * 30
        hours = (begins, 7 * 60) if own else (None, None)
        yield (project, person, *hours, NOW + 9 * DAY_MS if paused else None, NOW)


def _places(project: int, n: int, person: int) -> Iterator[Row]:
    """Places under the caps: half of all got something in this week, some more than they should get."""
    count = 0 if _share(n, 10, 50) else 1 + n % 3 + 2 * _share(n, 11, 10)
    for each in range(count):
        at = NOW - (1 + each * (5 if n % 4 == 0 else 31) + n % 23) * _HOUR
        yield (project, person, at, 1_000 + each, CATEGORY.name, "marketing", "push", False)


def _content(project: int, n: int, person: int) -> Iterator[Row]:
    """Three of a hundred got the same content yesterday, or last month."""
    if _share(n, 12, 3):
        yield (project, person, _HASH, NOW - (_HOUR if n % 2 else 40 * DAY_MS))


def _events(project: int, n: int, person: int) -> Iterator[Row]:
    """Everybody looked at something; four of a hundred paid for something since."""
    yield (project, person, "product_viewed", '{"sku": "A-1"}', NOW - _HOUR)
    if _share(n, 13, 4):
        yield (project, person, "order_paid", f'{{"kind": "{"garden" if n % 2 else "kitchen"}"}}', NOW)


_TABLES = (
    _Table(
        "device",
        (
            "project", "id", "person", "kind", "address", "permission", "state", "details", "timezone", "registered_at",
            "created_at", "updated_at",
        ),
        _devices,
    ),
    _Table("consent", ("project", "person", "category", "channel", "granted", "source", "at"), _consents),
    _Table(
        "person_preference",
        ("project", "person", "quiet_start", "quiet_end", "marketing_paused_until", "updated_at"),
        _preferences,
    ),
    _Table(
        "sent_log",
        ("project", "person", "at", "notification", "category", "class", "channel", "armed"),
        _places,
    ),
    _Table("sent_content", ("project", "person", "hash", "at"), _content),
    _Table("event", ("project", "person", "name", "properties", "occurred_at"), _events),
)  # fmt: skip
