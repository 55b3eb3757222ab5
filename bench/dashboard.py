"""What does a look at the dashboard cost, however much was sent?

The sums of the overview, and those of a page of the list, over a project with so many decisions and deliveries. Wall
clock, the median of nine readings, with the database in memory: the process and the database together.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from clarion.bootstrap import SystemChance
from clarion.crypto.sealing import Sealer
from clarion.dashboard.listing import COUNTED
from clarion.dashboard.notifications import PAGE
from clarion.dashboard.recent import MOST
from clarion.journey.founding import found
from clarion.model import DAY_MS, Key
from clarion.ports import Store
from clarion.storage.postgres import PostgresStore
from clarion.storage.sqlite import SqliteStore
from common.database import Row, opened
from common.postgres import postgres

ROWS = 3_000_000
NOTIFICATIONS = 300
DAYS = 30
READINGS = 9
SECRET = [b"a secret for the bench, 32 bytes and more"]
NOW = 1_795_366_800_000
_REQUEST = '{"message":{"title":"Hello"},"to":{"everyone":true}}'
_STATES = (4, 4, 4, 5, 6, 8, 1)
_REASONS = ("send", "send", "send", "no_consent", "cap_reached")


def open_store(where: str | Path) -> Store:
    return PostgresStore(where) if isinstance(where, str) else SqliteStore(where)


async def seeded(where: str | Path, rows: int) -> tuple[Key, list[Key]]:
    """A project with so many decisions and as many deliveries, of notifications over a month; the newest keys."""
    store = open_store(where)
    await store.open()
    founded = await found(store, Sealer(SECRET), SystemChance(), NOW, "Bench")
    project = founded.project.key
    await store.close()
    each = rows // NOTIFICATIONS
    with opened(where) as database:
        when = [NOW - DAYS * DAY_MS + at * DAYS * DAY_MS // NOTIFICATIONS for at in range(NOTIFICATIONS)]
        columns = ("project", "id", "request", "created_at")
        made = ((project, f"{at:032x}", _REQUEST, created) for at, created in enumerate(when))
        database.add("notification", columns, made)
        last = database.one("SELECT max(key) FROM notification")
        keys = list(range(last - NOTIFICATIONS + 1, last + 1))
        database.add("decision", _DECISION, _decisions(project, keys, when, each))
        database.add("delivery", _DELIVERY, _deliveries(project, keys, when, each))
    if isinstance(where, str):
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute("ANALYZE")  # as the server does by itself, soon after so many rows
    return project, keys[::-1][:PAGE]


_DECISION = ("project", "notification", "person", "reason", "gates", "at", "revision")
_DELIVERY = ("project", "notification", "person", "device", "kind", "state", "attempts", "updated_at")


def _decisions(project: Key, keys: list[Key], when: list[int], each: int) -> Iterator[Row]:
    for key, at in zip(keys, when, strict=True):
        yield from ((project, key, person, _REASONS[person % 5], 1, at, 0) for person in range(each))


def _deliveries(project: Key, keys: list[Key], when: list[int], each: int) -> Iterator[Row]:
    for key, at in zip(keys, when, strict=True):
        yield from ((project, key, person, person, "webpush", _STATES[person % 7], 1, at) for person in range(each))


async def median_ms(read: Callable[[], Awaitable[object]]) -> float:
    """Of nine readings, after one that warms up."""
    took = []
    for _ in range(READINGS + 1):
        begun = time.perf_counter()
        await read()
        took.append(1000 * (time.perf_counter() - begun))
    return statistics.median(took[1:])


async def measured(where: str | Path, rows: int) -> dict[str, float]:
    """Milliseconds by what was read."""
    project, newest = await seeded(where, rows)
    store = open_store(where)
    await store.open()
    try:
        since = NOW - DAYS * DAY_MS
        return {
            "overview_ms": await median_ms(lambda: store.tallies.lately(project, since, MOST)),
            "list_ms": await median_ms(lambda: store.tallies.of_notifications(project, newest, COUNTED)),
        }
    finally:
        await store.close()


def main(
    scale: Annotated[float, typer.Option(help="Of three million decisions.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures only.")] = False,
) -> None:
    """Measure on SQLite, and on PostgreSQL where it is installed."""
    rows = max(round(ROWS * scale), NOTIFICATIONS)
    with tempfile.TemporaryDirectory() as folder, postgres() as server:
        figures = asyncio.run(measured(Path(folder), rows))
        if server is not None:
            told = asyncio.run(measured(server.create("bench"), rows))
            figures |= {f"pg_{name}": value for name, value in told.items()}
    if as_json:
        sys.stdout.write(json.dumps({name: round(value, 1) for name, value in figures.items()}) + "\n")
        return
    table = Table("what", "SQLite ms", "PostgreSQL ms", title=f"{rows:,} decisions and deliveries")
    for name, title in (("overview_ms", "sums of the overview"), ("list_ms", f"sums of a list of {PAGE}")):
        pg = figures.get(f"pg_{name}")
        table.add_row(title, f"{figures[name]:.1f}", "not installed" if pg is None else f"{pg:.1f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
