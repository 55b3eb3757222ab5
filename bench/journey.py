"""What does one delivery cost, from the accepted request to the recorded outcome?

One notification to everybody, a stub in place of the push service, one process on each engine. CPU is that of the whole
process, threads included, without the database server; memory is the peak of a process that did nothing else.
"""

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from clarion.bootstrap import SystemChance, SystemClock, calm_collector
from clarion.crypto.identity import AnonymousTokens
from clarion.crypto.receipts import ReceiptTokens
from clarion.crypto.sealing import Sealer
from clarion.crypto.signing import Signer
from clarion.journey.catalog import Catalog
from clarion.journey.founding import found
from clarion.journey.pipeline import WAKE, Pipeline
from clarion.model import Audience, DeliveryState, DeviceKind, Message, Project
from clarion.ports import Store
from clarion.providers.stub import StubProvider
from clarion.storage import schema
from clarion.storage.postgres import PostgresStore
from clarion.storage.sqlite import SqliteStore
from clarion.transport.bus import LocalBus
from clarion.workers.delivery import Workers
from common.postgres import postgres

USERS = 100_000
SECRET = [b"a secret for the bench, 32 bytes and more"]
QUEUES = {"trigger": 1, "audience": 1, "decide": 2}
DETAILS = json.dumps({"p256dh": "B" * 87, "auth": "a" * 22, "vapid_public_key": "B" * 87})


def open_store(where: str) -> Store:
    return PostgresStore(where) if where.startswith("postgresql") else SqliteStore(Path(where))


def raw_url(where: str) -> str:
    if where.startswith("postgresql"):
        return where.replace("postgresql://", "postgresql+psycopg://")
    return f"sqlite:///{next(Path(where).glob('*.db'))}"


async def seed(where: str, users: int) -> int:
    """A project whose people have one browser each; its key."""
    store = open_store(where)
    await store.open()
    founded = await found(store, Sealer(SECRET), SystemChance(), SystemClock().now(), "Bench")
    await store.close()
    now = SystemClock().now()
    project = founded.project.key
    people = {"project": project, "attributes": {"first_name": "Ada"}, "anonymous": False}
    devices = {
        "project": project,
        "kind": "webpush",
        "permission": "granted",
        "state": "active",
        "details": DETAILS,
        "registered_at": now,
    }
    times = {"created_at": now, "updated_at": now}
    engine = sa.create_engine(raw_url(where))
    with engine.begin() as connection:
        connection.execute(sa.insert(schema.person), [{**people, **times, "id": f"user-{n}"} for n in range(users)])
        first = connection.scalar(sa.select(sa.func.min(schema.person.c.key))) or 0
        connection.execute(
            sa.insert(schema.device),
            [
                {**devices, **times, "id": f"{n:032x}", "person": first + n, "address": f"https://push.example/{n}"}
                for n in range(users)
            ],
        )
    engine.dispose()
    return project


class Measured:
    """One process's share of the journey, workers included."""

    def __init__(self, store: Store) -> None:
        self.store = store
        clock, bus, signer, sealer = SystemClock(), LocalBus(), Signer(SECRET), Sealer(SECRET)
        self.provider = StubProvider()
        self.pipeline = Pipeline(
            store=store,
            catalog=Catalog(store, sealer, clock, bus),
            bus=bus,
            clock=clock,
            chance=SystemChance(),
            providers={DeviceKind.WEBPUSH: self.provider},
            receipts=ReceiptTokens(signer),
            anonymous=AnonymousTokens(signer),
            receipts_url="https://push.example/v1/receipts",
        )
        self.workers = Workers(QUEUES, self.pipeline.step, store.work, clock, bus, self.pipeline.throttle)

    async def run(self, project: Project, users: int) -> dict[str, float]:
        message = Message(
            title="Hello {{ user.first_name }}", body="Something new is here.", url="https://shop.example/"
        )
        calm_collector()
        self.workers.start(WAKE)
        cpu, wall = time.process_time(), time.monotonic()
        notification = await self.pipeline.notify(project, message, Audience(everyone=True))
        recorded = 0
        while recorded < users:
            await asyncio.sleep(0.2)
            print(self.provider.sent, flush=True)
            if self.provider.sent >= users:
                progress = await self.store.trail.progress(project.key, notification.key)
                recorded = progress.deliveries.get(DeliveryState.ACCEPTED, 0)
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        await self.workers.stop()
        return {
            "cpu_us": round(cpu / users * 1e6, 2),
            "per_s": round(users / wall),
            "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        }


async def measure(where: str, users: int, project: int) -> dict[str, float]:
    store = open_store(where)
    await store.open()
    found_project = await store.projects.get(project)
    assert found_project is not None
    figures = await Measured(store).run(found_project, users)
    await store.close()
    return figures


def in_process(console: Console, label: str, where: str, users: int) -> dict[str, float]:
    """Seed and measure in processes of their own, so that memory is that of the journey alone."""
    this = [sys.executable, __file__, "--where", where, "--users", str(users)]
    project = subprocess.run([*this, "--seed"], check=True, capture_output=True, text=True).stdout.strip()
    columns = (TextColumn(label), BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f}"))
    last = "{}"
    with (
        Progress(*columns, console=console, transient=True) as progress,
        subprocess.Popen([*this, "--project", project], stdout=subprocess.PIPE, text=True) as child,
    ):
        task = progress.add_task(label, total=users)
        for line in child.stdout or ():
            last = line
            if line.strip().isdigit():
                progress.update(task, completed=int(line))
    if child.returncode:
        raise SystemExit(child.returncode)
    figures: dict[str, float] = json.loads(last)
    return figures


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
    scale: Annotated[float, typer.Option(help="Share of the 100,000 people.")] = 1.0,
    where: Annotated[str, typer.Option(hidden=True)] = "",
    users: Annotated[int, typer.Option(hidden=True)] = 0,
    project: Annotated[int, typer.Option(hidden=True)] = 0,
    seeding: Annotated[bool, typer.Option("--seed", hidden=True)] = False,
) -> None:
    """CPU, rate and memory of one notification to everybody."""
    if seeding:
        print(asyncio.run(seed(where, users)))
        return
    if project:
        print(json.dumps(asyncio.run(measure(where, users, project))))
        return
    console, users = Console(stderr=True), max(1000, int(USERS * scale))
    with tempfile.TemporaryDirectory(prefix="clarion-bench-") as folder:
        figures = in_process(console, "SQLite", folder, users)
    with postgres() as server:
        if server is not None:
            pg = in_process(console, "PostgreSQL", server.create("bench"), users)
            figures |= {f"pg_{name}": value for name, value in pg.items()}
    if as_json:
        print(json.dumps(figures))
        return
    table = Table("engine", title=f"One notification to {users:,} people")
    for heading in ("µs CPU a delivery", "deliveries/s", "peak MB"):
        table.add_column(heading, justify="right")
    for label, prefix in (("SQLite", ""), ("PostgreSQL", "pg_")):
        if f"{prefix}cpu_us" in figures:
            row = [figures[prefix + key] for key in ("cpu_us", "per_s", "peak_mb")]
            table.add_row(label, f"{row[0]:.1f}", f"{row[1]:,.0f}", f"{row[2]:.0f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
