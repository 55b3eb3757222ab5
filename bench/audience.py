"""Who should hear it, of a million people and ten million events: how long does it take to say, and to write down?

The ready-made segments are counted, as a preview does; the slowest of them is `segment_s`. `members_ms` is what a
worker asks as somebody's turn comes: which of these 1,000 are still in it; the slowest again. `look_s`: what an
automation asks once a minute that begins with who comes into `inactive`: who is in it, and not on the list of those who
were; nobody moved. `ingest_per_s`: events
through the store, each on disk before the call returns, 1,000 a call from 16 callers, into the table that is full;
`ingest_cpu_us` is what one of them costs this process, which on SQLite is all of it.

`steps_per_s`: what 100,000 runs of an automation go through in one process, from a pause that is over to the next pause
(a pause left, a fork, for half of them attributes set, a pause begun), then to their message and the end. Handing out
what is due and all that is written counts in, deciding about the message does not. Meanwhile a million other runs wait:
`idle_ms` is what a look costs while nothing is due, `idle_few_ms` the same before they are there.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sqlalchemy import create_engine

from clarion.bootstrap import SystemChance, calm_collector
from clarion.crypto.sealing import Sealer
from clarion.journey.automations import kept_automations
from clarion.journey.automations.automating import Automating
from clarion.journey.automations.kept_automations import AUTOMATIONS
from clarion.journey.catalog import Catalog
from clarion.journey.founding import found
from clarion.journey.pipeline import HANDED_OUT
from clarion.journey.segments.lookup import crowd_in
from clarion.journey.segments.ready_made import READY_MADE
from clarion.journey.segments.sentences import sentence
from clarion.model import Ended, Event, Segment
from clarion.ports import Crowd, FactsQuery, Store
from clarion.storage.event_parts import make_parts
from clarion.storage.postgres import PostgresStore
from clarion.storage.sqlite import SqliteStore
from clarion.testing import ManualClock
from clarion.transport.bus import LocalBus
from common.crowd import NOW
from common.database import opened
from common.postgres import postgres
from common.shoppers import add_events, add_people, fresh_events
from common.walkers import HOUR_MS, WAITED, WALKED, add_runs, walked

USERS = 1_000_000
EVENTS_A_USER = 10
INGESTED = 400_000
LISTED = 10_000
CALLERS, CALL = 16, 1_000
ROUNDS, MEMBER_ROUNDS = 3, 15
IDLE_ROUNDS = 50
SECRET = [b"a secret for the bench, 32 bytes and more"]


def open_store(where: str) -> Store:
    return PostgresStore(where) if where.startswith("postgresql") else SqliteStore(Path(where))


def crowds() -> dict[str, Crowd]:
    """The ready-made segments."""
    made = {name: kind() for name, kind in READY_MADE.items()}
    segments = {name: Segment(name=name, rule=one.rule, exit=one.exit) for name, one in made.items()}
    return {name: crowd_in(name, segments, NOW) for name in segments}


async def begin(where: str) -> int:
    store = open_store(where)
    await store.open()
    founded = await found(store, Sealer(SECRET), SystemChance(), NOW, "Bench")
    await store.close()
    return founded.project.key


def fill(where: str, project: int, users: int) -> Iterator[int]:
    with opened(where if where.startswith("postgresql") else Path(where)) as database:
        yield from add_people(database, project, users)
        make_room(where, users * EVENTS_A_USER)
        for count in add_events(database, project, users, users * EVENTS_A_USER):
            yield users + count
    # What the engine does by itself in time: it knows its tables, and has not just been filled.
    if where.startswith("postgresql"):
        vacuum(where)
    else:
        asyncio.run(settled(where))


def make_room(where: str, events: int) -> None:
    """The parts of the table of events, which are made as events come."""
    if where.startswith("postgresql"):
        engine = create_engine(where.replace("postgresql:", "postgresql+psycopg:", 1))
        with engine.begin() as connection:
            make_parts(connection, 1, events)
        engine.dispose()


async def settled(where: str) -> None:
    """All but the newest, as if the events had come one after the other."""
    store = SqliteStore(Path(where))
    await store.open()
    await store.events.settle()
    await store.close()


def vacuum(where: str) -> None:
    import psycopg  # noqa: PLC0415 - only with PostgreSQL

    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE event")
        connection.execute("VACUUM ANALYZE person")
        connection.execute("CHECKPOINT")


async def segment_seconds(store: Store, project: int, told: dict[str, float]) -> float:
    """Of the slowest one; the median of a few rounds each."""
    for name, crowd in crowds().items():
        took = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            await store.audiences.count(project, crowd)
            took.append(time.perf_counter() - begun)
        told[f"{name}_s"] = round(statistics.median(took), 3)
    return max(told[f"{name}_s"] for name in READY_MADE)


async def member_ms(store: Store, project: int, users: int, told: dict[str, float]) -> float:
    """Of the slowest one: what a batch costs with this question, less what it costs without."""
    names = [f"user-{number * (users // CALL)}" for number in range(CALL)]
    keys = sorted((await store.users.resolve(project, names, NOW, create=False)).values())

    async def once(crowd: list[Crowd]) -> float:
        begun = time.perf_counter()
        await store.steps.facts(project, FactsQuery(users=keys, crowds=crowd))
        return (time.perf_counter() - begun) * 1000

    without = statistics.median([await once([]) for _ in range(MEMBER_ROUNDS)])
    for name, crowd in crowds().items():
        told[f"{name}_ms"] = round(statistics.median([await once([crowd]) for _ in range(MEMBER_ROUNDS)]) - without, 1)
    return max(told[f"{name}_ms"] for name in READY_MADE)


async def look_seconds(store: Store, project: int, users: int) -> float:
    """Of a look at a segment whose members are all known."""
    crowd = crowds()["inactive"]
    everybody = await store.audiences.keys(project, crowd, 0, users)
    for start in range(0, len(everybody), LISTED):
        ids = await store.users.ids(project, everybody[start : start + LISTED])
        await store.audiences.add(project, "list", "looked at", list(ids.values()), NOW)
    took = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        assert not await store.audiences.unlike(project, crowd, "list", "looked at", 0, CALL)
        took.append(time.perf_counter() - begun)
    return round(statistics.median(took), 3)


async def ingest(store: Store, project: int, events: list[Event], told: dict[str, float]) -> None:
    calls = iter([events[start : start + CALL] for start in range(0, len(events), CALL)])

    async def caller() -> None:
        for call in calls:
            await store.events.add(project, call, frozenset(), NOW)

    begun, worked = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    told["ingest_per_s"] = round(len(events) / (time.perf_counter() - begun))
    told["ingest_cpu_us"] = round((time.process_time() - worked) / len(events) * 1e6, 1)


async def idle_ms(store: Store) -> float:
    """What it costs to look for runs whose time has come when there are none."""
    took = []
    for _ in range(IDLE_ROUNDS):
        begun = time.perf_counter()
        assert await store.runs.hand_out(NOW, HANDED_OUT) == 0
        took.append((time.perf_counter() - begun) * 1000)
    return round(statistics.median(took), 3)


async def steps_per_s(store: Store, project: int, runs: int) -> tuple[float, float]:
    """Twice as far as they go, an hour apart; and the CPU of this process for each, in µs."""
    clock = ManualClock(NOW)
    catalog = Catalog(store, Sealer(SECRET), clock, LocalBus())
    automating = Automating(store, catalog, clock)
    begun, spent = time.perf_counter(), time.process_time()
    for _ in range(2):
        while await automating.hand_out(HANDED_OUT):
            while leases := await store.work.claim("runs", 4, clock.now(), 60_000):
                await asyncio.gather(*(automating.step(lease, lease.job) for lease in leases))  # type: ignore[arg-type]
        clock.advance(HOUR_MS + 1_000)
    took, spent = time.perf_counter() - begun, time.process_time() - spent
    counts = await store.runs.counts(project, WALKED)
    assert sum(one.runs for one in counts if one.ended is Ended.DONE) == runs, counts
    # Each left a pause, took the fork, began and left a pause, and said something; half of them had attributes set.
    steps = runs * 5.5
    return round(steps / took), round(spent / steps * 1_000_000, 1)


async def walk(where: str, project: int, users: int) -> dict[str, float]:
    """Runs of an automation: those that wait, and those that walk."""
    store, told = open_store(where), dict[str, float]()
    await store.open()
    automation = walked()
    for one in (automation, msgspec.structs.replace(automation, name=WAITED)):
        kept = await kept_automations.keep(store.definitions, project, one, None, NOW)
        await store.definitions.put(project, AUTOMATIONS, kept.name, kept_automations.as_stored(kept), NOW)
    told["idle_few_ms"] = await idle_ms(store)
    await store.close()
    with opened(where if where.startswith("postgresql") else Path(where)) as database:
        for _ in add_runs(database, project, WAITED, users, NOW + 24 * HOUR_MS):
            pass
    await store.open()
    told["idle_ms"] = await idle_ms(store)
    await store.close()
    runs = max(1_000, users // 10)
    with opened(where if where.startswith("postgresql") else Path(where)) as database:
        for _ in add_runs(database, project, WALKED, runs, NOW - HOUR_MS):
            pass
    await store.open()
    told["steps_per_s"], told["step_cpu_us"] = await steps_per_s(store, project, runs)
    await store.close()
    return told


async def measure(where: str, project: int, users: int) -> dict[str, float]:
    store, told = open_store(where), dict[str, float]()
    await store.open()
    told["segment_s"] = await segment_seconds(store, project, told)
    told["members_ms"] = await member_ms(store, project, users, told)
    told["look_s"] = await look_seconds(store, project, users)
    events = fresh_events(users, max(20_000, INGESTED * users // USERS))
    calm_collector()  # as a server does; and a server would not hold all of these
    await ingest(store, project, events, told)
    await store.close()
    return told | await walk(where, project, users)


def on_engine(console: Console, engine: str, where: str, users: int) -> dict[str, float]:
    project = asyncio.run(begin(where))
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(f"{engine}: filling", total=users * (1 + EVENTS_A_USER))
        for count in fill(where, project, users):
            progress.update(task, completed=count)
    return asyncio.run(measure(where, project, users))


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
    scale: Annotated[float, typer.Option(help="Share of the million people and ten million events.")] = 1.0,
    engine: Annotated[str, typer.Option(help="sqlite, postgres or both.")] = "both",
) -> None:
    """Segments counted, members told, events written down."""
    console, users = Console(stderr=True), max(1_000, int(USERS * scale))
    figures: dict[str, float] = {}
    if engine != "postgres":
        with tempfile.TemporaryDirectory(prefix="clarion-bench-") as folder:
            figures = on_engine(console, "SQLite", folder, users)
    if engine != "sqlite":
        with postgres() as server:
            if server is not None:
                pg = on_engine(console, "PostgreSQL", server.create("bench"), users)
                figures |= {f"pg_{name}": value for name, value in pg.items()}
    if as_json:
        print(json.dumps(figures))
        return
    show(figures, users)


def show(figures: dict[str, float], users: int) -> None:
    table = Table("", title=f"{users:,} people, {users * EVENTS_A_USER:,} events")
    prefixes = {"SQLite": "", "PostgreSQL": "pg_"}
    there = {label: prefix for label, prefix in prefixes.items() if f"{prefix}segment_s" in figures}
    for label in there:
        table.add_column(label, justify="right")
    for name, crowd in crowds().items():
        rule = crowd.segments[name]
        words = sentence(Segment(name=name, rule=rule))
        table.add_row(f"{words}: count, s", *(f"{figures[f'{prefix}{name}_s']:.2f}" for prefix in there.values()))
        table.add_row("… members of 1,000, ms", *(f"{figures[f'{prefix}{name}_ms']:.1f}" for prefix in there.values()))
    looks = (f"{figures[f'{prefix}look_s']:.2f}" for prefix in there.values())
    table.add_row("who came into `inactive` since the last look, s", *looks)
    rates = (f"{figures[f'{prefix}ingest_per_s']:,.0f}" for prefix in there.values())
    table.add_row("events a second, each on disk", *rates)
    waits = f"looking for what is due while {users:,} runs wait, ms (and while none does)"
    table.add_row(waits, *(f"{figures[f'{p}idle_ms']:.2f} ({figures[f'{p}idle_few_ms']:.2f})" for p in there.values()))
    table.add_row("steps of runs a second", *(f"{figures[f'{p}steps_per_s']:,.0f}" for p in there.values()))
    table.add_row("… CPU of the process for each, µs", *(f"{figures[f'{p}step_cpu_us']:.1f}" for p in there.values()))
    costs = (f"{figures[f'{prefix}ingest_cpu_us']:.1f}" for prefix in there.values())
    table.add_row("… µs CPU of this process an event", *costs)
    Console().print(table)


if __name__ == "__main__":
    os.nice(5)
    typer.run(main)
