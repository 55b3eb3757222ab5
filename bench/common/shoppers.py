"""A year of a shop: people who came, looked, put things into carts, bought and fell silent, as events in time order."""

import json
import random
from collections.abc import Iterator

from clarion.model import DAY_MS, Event, Millis
from clarion.model.segments import bucket_of
from common.crowd import NOW
from common.database import Database, Row

DAYS = 180
"""Over which the events happened."""
_PERSON = ("project", "id", "attributes", "anonymous", "created_at", "updated_at", "bucket")
_EVENT = ("project", "person", "name", "properties", "occurred_at")
_NAMES = ("visit", "product_viewed", "cart_added", "order", "review")
_WEIGHTS = (45, 35, 12, 7, 1)
_BATCH = 20_000


def add_people(database: Database, project: int, count: int) -> Iterator[int]:
    """They came over two years. Yields how many there are."""
    for first in range(0, count, _BATCH):
        numbers = range(first, min(first + _BATCH, count))
        database.add("person", _PERSON, (_person(project, n) for n in numbers))
        yield numbers.stop


def _person(project: int, n: int) -> Row:
    came = NOW - (n * 7_919 % (2 * 365)) * DAY_MS
    attributes = json.dumps({"first_name": "Ada", "plan": ("free", "pro", "team")[n % 3], "orders": n % 17})
    return (project, f"user-{n}", attributes, False, came, came, bucket_of(f"user-{n}"))


def add_events(database: Database, project: int, people: int, count: int) -> Iterator[int]:
    """Straight into the table, which is much faster than as events come. Yields how many there are."""
    first_key = database.one("SELECT min(key) FROM person WHERE project = ?", project)
    dice = random.Random(1)
    for first in range(0, count, _BATCH):
        numbers = range(first, min(first + _BATCH, count))
        rows = (_happened(dice, people, n / count) for n in numbers)
        told = ((project, first_key + who, name, properties, at) for who, name, properties, at in rows)
        database.add("event", _EVENT, told)
        yield numbers.stop


def fresh_events(people: int, count: int) -> list[Event]:
    """The newest ones, as callers tell them."""
    dice = random.Random(2)
    made = (_happened(dice, people, 1.0) for _ in range(count))
    return [
        Event(user_id=f"user-{who}", name=name, properties=json.loads(properties), occurred_at=at, id=f"e-{number}")
        for number, (who, name, properties, at) in enumerate(made)
    ]


def _happened(dice: random.Random, people: int, share: float) -> tuple[int, str, str, Millis]:
    """What happened when so much of the time had passed. A fifth of the people have been silent for 60 days."""
    at = NOW - int((1 - share) * DAYS * DAY_MS) - dice.randrange(60_000)
    who = dice.randrange(people)
    while who % 5 == 0 and at > NOW - 60 * DAY_MS:
        who = dice.randrange(people)
    name = dice.choices(_NAMES, _WEIGHTS)[0]
    return who, name, f'{{"sku": "A-{dice.randrange(500)}", "price": {dice.randrange(1, 200)}}}', at
