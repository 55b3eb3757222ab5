"""What does it cost to decide about one person, with every gate on, and how long does a dry run over everybody take?

Deciding is the workers' own: people are locked and their facts loaded a thousand at a time, then decided. Composing and
writing are left out here (`bench/journey.py` has them). The dry run is whole, with a personal title that is rendered
for each person who would get it. CPU is that of the whole process, threads included, without the database server.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from clarion.bootstrap import SystemChance, calm_collector
from clarion.crypto.identity import AnonymousTokens
from clarion.crypto.receipts import ReceiptTokens
from clarion.crypto.sealing import Sealer
from clarion.crypto.signing import Signer
from clarion.journey import audience
from clarion.journey.candidate import Candidate, facts_about, with_wishes
from clarion.journey.catalog import Catalog
from clarion.journey.conditions import Around
from clarion.journey.decide import Decider, Law, capping
from clarion.journey.founding import found
from clarion.journey.judgement import SLICE
from clarion.journey.pipeline import Pipeline
from clarion.journey.texts.words import project_facts
from clarion.model import Audience, DeviceKind, Notification, Project
from clarion.ports import Store
from clarion.providers.stub import StubProvider
from clarion.storage.postgres import PostgresStore
from clarion.storage.sqlite import SqliteStore
from clarion.testing import ManualClock
from clarion.transport.bus import LocalBus
from common.crowd import CATEGORY, MESSAGE, NOW, SETTINGS, fill
from common.database import opened
from common.postgres import postgres

USERS = 1_000_000
SECRET = [b"a secret for the bench, 32 bytes and more"]
EVERYBODY = Audience(everyone=True)


def open_store(where: str) -> Store:
    return PostgresStore(where) if where.startswith("postgresql") else SqliteStore(Path(where))


async def found_project(where: str) -> int:
    """The key of a project with every rule that a project can have."""
    store = open_store(where)
    await store.open()
    founded = await found(store, Sealer(SECRET), SystemChance(), NOW, "Bench", settings=SETTINGS)
    project = founded.project.key
    await store.definitions.put(project, "categories", CATEGORY.name, msgspec.to_builtins(CATEGORY), NOW)
    await store.close()
    return project


def seed(where: str, users: int) -> None:
    """Tells how many people there are, and in the end the project."""
    project = asyncio.run(found_project(where))
    with opened(where if where.startswith("postgresql") else Path(where)) as database:
        for count in fill(database, project, users):
            print(count, flush=True)
        database.one("SELECT count(*) FROM project")
    print(json.dumps({"project": project}))


class Measured:
    """One process that decides."""

    def __init__(self, store: Store) -> None:
        self.store = store
        clock, bus, signer, sealer = ManualClock(NOW), LocalBus(), Signer(SECRET), Sealer(SECRET)
        self.catalog = Catalog(store, sealer, clock, bus)
        self.pipeline = Pipeline(
            store=store,
            catalog=self.catalog,
            bus=bus,
            clock=clock,
            chance=SystemChance(),
            providers={DeviceKind.WEBPUSH: StubProvider()},
            receipts=ReceiptTokens(signer),
            anonymous=AnonymousTokens(signer),
            receipts_url="https://push.example/v1/receipts",
        )

    async def deciding(self, project: Project) -> dict[str, float]:
        """As a worker does, but for composing and writing: its spans, its locks, its facts, its slices."""
        law = Law(
            project.settings,
            await self.catalog.categories(project.key),
            frozenset({DeviceKind.WEBPUSH}),
            NOW,
            Around(project_facts(project), {}, NOW),
        )
        notification = Notification(
            key=1, id="bench", project=project.key, message=MESSAGE, to=EVERYBODY, created_at=NOW - 60_000
        )
        cpu, cursor, users = time.process_time(), 0, 0
        while spans := await self.store.steps.user_span(project.key, cursor, audience.BATCH, audience.SPANS_A_STEP):
            for span in spans:
                query = facts_about([notification], {}, capping(law, [notification]))
                query = msgspec.structs.replace(with_wishes(query, law.categories, law.settings), span=span)
                async with self.store.steps.deciding(project.key, query) as deciding:
                    facts, decider = deciding.facts, Decider(law)
                    for first in range(0, len(facts.recipients), SLICE):
                        batch = [Candidate(notification, one) for one in facts.recipients[first : first + SLICE]]
                        decider.decide(batch, facts)
                users += len(facts.recipients)
            cursor = spans[-1][1]
            print(users, flush=True)
        cpu = time.process_time() - cpu
        return {"cpu_us": round(cpu / users * 1e6, 2)}

    async def dry_run(self, project: Project) -> dict[str, float]:
        """The service that `POST /v1/notifications?dry_run` calls."""
        wall = time.monotonic()
        await self.pipeline.dry_run(project, MESSAGE, EVERYBODY)
        return {"dry_run_s": round(time.monotonic() - wall, 2)}


async def measure(where: str, project: int) -> dict[str, float]:
    store = open_store(where)
    await store.open()
    found = await store.projects.get(project)
    assert found is not None
    calm_collector()
    measured = Measured(store)
    figures = await measured.deciding(found) | await measured.dry_run(found)
    await store.close()
    return figures


def child(console: Console, label: str, total: int, *options: str) -> dict[str, float]:
    """This program in a process of its own, with a bar; what it told last."""
    columns, last = (TextColumn(label), BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f}")), "{}"
    with (
        Progress(*columns, console=console, transient=True) as progress,
        subprocess.Popen([sys.executable, __file__, *options], stdout=subprocess.PIPE, text=True) as process,
    ):
        task = progress.add_task(label, total=total)
        for line in process.stdout or ():
            last = line
            if line.strip().isdigit():
                progress.update(task, completed=int(line))
    if process.returncode:
        raise SystemExit(process.returncode)
    told: dict[str, float] = json.loads(last)
    return told


def on_engine(console: Console, engine: str, where: str, users: int) -> dict[str, float]:
    seeded = child(console, f"{engine}: people", users, "--where", where, "--users", str(users), "--seed")
    return child(console, f"{engine}: decided", users, "--where", where, "--project", str(seeded["project"]))


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
    scale: Annotated[float, typer.Option(help="Share of the million people.")] = 1.0,
    where: Annotated[str, typer.Option(hidden=True)] = "",
    users: Annotated[int, typer.Option(hidden=True)] = 0,
    project: Annotated[int, typer.Option(hidden=True)] = 0,
    seeding: Annotated[bool, typer.Option("--seed", hidden=True)] = False,
) -> None:
    """CPU of one decision with every gate on, and seconds of a dry run over everybody."""
    if seeding:
        seed(where, users)
        return
    if project:
        print(json.dumps(asyncio.run(measure(where, project))))
        return
    console, users = Console(stderr=True), max(1000, int(USERS * scale))
    with tempfile.TemporaryDirectory(prefix="clarion-bench-") as folder:
        figures = on_engine(console, "SQLite", folder, users)
    with postgres() as server:
        if server is not None:
            pg = on_engine(console, "PostgreSQL", server.create("bench"), users)
            figures |= {f"pg_{name}": value for name, value in pg.items()}
    if as_json:
        print(json.dumps(figures))
        return
    table = Table("engine", title=f"Every gate on, {users:,} people")
    for heading in ("µs CPU a decision, facts included", "dry run over everybody, s"):
        table.add_column(heading, justify="right")
    for label, prefix in (("SQLite", ""), ("PostgreSQL", "pg_")):
        if f"{prefix}cpu_us" in figures:
            table.add_row(label, *(f"{figures[prefix + key]:.1f}" for key in ("cpu_us", "dry_run_s")))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
