"""What does it cost to know whom we lose: to count four days with a million deliveries, and to answer from that?

Half as many more deliveries lie before them. Four of five deliveries are of one campaign a day, the others of an
automation, a notification each; one of two hundred is followed by an opt-out. CPU is that of the whole process, threads
included, without the database server.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from clarion.bootstrap import SystemChance, calm_collector
from clarion.crypto.sealing import Sealer
from clarion.journey.founding import found
from clarion.journey.loss_watch import LIVE_DAYS, LossWatch
from clarion.journey.losses import day_of
from clarion.model import DAY_MS, Audience, Message
from clarion.ports import Dimension, Store
from clarion.storage.postgres import PostgresStore
from clarion.storage.requests import Request, encode_request
from clarion.storage.sqlite import SqliteStore
from clarion.testing import ManualClock
from common.database import Database, Row, opened
from common.postgres import postgres

DELIVERIES = 1_000_000
DAYS = LIVE_DAYS + 2
HOUR_MS = 3_600_000
NOW = day_of(1_800_000_000_000) + 20 * HOUR_MS
SECRET = [b"a secret for the bench, 32 bytes and more"]
_NOTIFICATION = ("key", "project", "id", "request", "created_at", "automation")
_DECISION = ("project", "notification", "person", "reason", "gates", "at", "revision")
_DELIVERY = ("project", "notification", "person", "device", "kind", "state", "attempts", "updated_at")
_LOSS = ("project", "at", "person", "kind", "category", "channel", "device")


def open_store(where: str) -> Store:
    return PostgresStore(where) if where.startswith("postgresql") else SqliteStore(Path(where))


def _request(category: str, template: str) -> str:
    message = Message(category=category, template=template, title="Your order is on its way", body="It leaves today.")
    return encode_request(Request(message, Audience(everyone=True)))


def fill(database: Database, project: int, a_day: int) -> None:
    """The days, the oldest first; person n has the key n and one device."""
    singles = a_day // 5
    requests, key = (_request("offers", "deal"), _request("orders", "shipped")), 0
    for day in range(DAYS):
        at = day_of(NOW) - (DAYS - 1 - day) * DAY_MS + 9 * HOUR_MS
        first, key = key + 1, key + 1 + singles
        campaign = (first, project, f"campaign-{day}", requests[0], at, None)
        numbers = range(1, singles + 1)
        events = ((first + n, project, f"order-{day}-{n}", requests[1], at + n, "shipped") for n in numbers)
        database.add("notification", _NOTIFICATION, [campaign, *events])
        told = [(first, n) for n in range(1, a_day - singles + 1)]
        told += [(first + n, n * 3) for n in numbers]
        decided = ((project, key, who, "send", 0, at, 0) for key, who in told)
        database.add("decision", _DECISION, decided)
        database.add("delivery", _DELIVERY, _deliveries(project, told, at))
        lost = ((project, at + HOUR_MS + n, n, "opt_out", "offers", "push", 0) for n in range(200, a_day, 200))
        database.add("loss", _LOSS, lost)


def _deliveries(project: int, told: list[tuple[int, int]], at: int) -> Iterator[Row]:
    for key, who in told:
        state = 8 if who % 30 == 0 else 5 if who % 3 else 4
        yield (project, key, who, who, "webpush", state, 1, at)


async def begin(where: str) -> int:
    store = open_store(where)
    await store.open()
    project = (await found(store, Sealer(SECRET), SystemChance(), NOW, "Bench")).project.key
    await store.close()
    return project


async def measure(where: str, project: int) -> dict[str, float]:
    store = open_store(where)
    await store.open()
    calm_collector()
    watch = LossWatch(store, ManualClock(NOW))
    cpu, wall = time.process_time(), time.monotonic()
    await watch.refresh(project)
    figures = {"count_s": time.monotonic() - wall, "count_cpu_s": time.process_time() - cpu}
    wall = time.monotonic()
    sums = await store.losses.sums(project, Dimension.CATEGORY, NOW - 30 * DAY_MS, NOW)
    figures["answer_ms"] = 1000 * (time.monotonic() - wall)
    offers = next(each for each in sums if each.name == "offers")
    assert offers.lost
    assert offers.tapped
    await store.close()
    return {name: round(value, 3) for name, value in figures.items()}


def on_engine(where: str, deliveries: int) -> dict[str, float]:
    project = asyncio.run(begin(where))
    with opened(where if where.startswith("postgresql") else Path(where)) as database:
        fill(database, project, deliveries // LIVE_DAYS)
        database.one("SELECT count(*) FROM project")
    return asyncio.run(measure(where, project))


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
    scale: Annotated[float, typer.Option(help="Share of the million deliveries.")] = 1.0,
) -> None:
    """Seconds to count whom we lose, and to tell it."""
    console, deliveries = Console(stderr=True), max(1_000, int(DELIVERIES * scale))
    with console.status("SQLite"), tempfile.TemporaryDirectory(prefix="clarion-bench-") as folder:
        figures = on_engine(folder, deliveries)
    with postgres() as server, console.status("PostgreSQL"):
        if server is not None:
            figures |= {f"pg_{name}": each for name, each in on_engine(server.create("bench"), deliveries).items()}
    if as_json:
        print(json.dumps(figures))
        return
    table = Table("engine", title=f"{deliveries:,} deliveries in four days")
    for heading in ("counted in, s", "CPU, s", "answered in, ms"):
        table.add_column(heading, justify="right")
    for label, prefix in (("SQLite", ""), ("PostgreSQL", "pg_")):
        if f"{prefix}count_s" in figures:
            table.add_row(label, *(f"{figures[prefix + name]:.2f}" for name in ("count_s", "count_cpu_s", "answer_ms")))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
