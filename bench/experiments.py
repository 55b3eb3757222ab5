"""What do variants cost a person, and how long does it take to count what came of them?

A person's variant is a hash and a look into a table, on top of deciding and composing (`bench/decide.py`,
`bench/journey.py`): CPU of one process, no storage. Results are the whole of `GET /v1/notifications/{id}/results`, of
one notification to everybody in two variants and a control group, with three events, a delivery and now and then a
click a person: by the clock, on a database that was filled a moment ago, which its statistics know nothing of yet.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from clarion.bootstrap import SystemChance
from clarion.crypto.sealing import Sealer
from clarion.journey.candidate import Decided
from clarion.journey.compose import Composer, Scene
from clarion.journey.experiments.variants import Assigner
from clarion.journey.experiments.winning import results_of
from clarion.journey.founding import found
from clarion.journey.judgement import SLICE
from clarion.model import (
    Audience,
    Category,
    CategoryClass,
    DeviceKind,
    Experiment,
    Goal,
    Message,
    Notification,
    Permission,
    Reason,
    Variant,
)
from clarion.ports import Effects, Recipient, Store, Target
from clarion.storage.effects import gates_hash
from clarion.storage.postgres import PostgresStore
from clarion.storage.sqlite import SqliteStore
from common.database import Database, opened
from common.postgres import postgres

USERS = 1_000_000
COMPOSED = 50_000
ROUNDS = 5
SECRET = [b"a secret for the bench, 32 bytes and more"]
NOW, HOUR = 1_795_366_800_000, 3_600_000
GATES = [f'[["consent","pass","on by default"],["variant","pass","{key}"]]' for key in ("a", "b")]
HELD = '[["consent","pass","on by default"],["holdout","drop","control group spring (10 %)"]]'
VARIANTS = [Variant(key="a", title="Plain words"), Variant(key="b", title="Other words")]
_BATCH = 50_000


# --- a person ---------------------------------------------------------------------------------------------------------


def decided(message: Message) -> list[Decided]:
    notification = Notification(
        key=1, id="bench", project=1, message=message, to=Audience(everyone=True), created_at=NOW
    )
    people = [
        Recipient(n, f"user-{n}", "en", None, "{}", [Target(n, DeviceKind.WEBPUSH, Permission.GRANTED, None)], {})
        for n in range(COMPOSED)
    ]
    gates = '[["consent","pass","on by default"]]'
    return [Decided(notification, one, Reason.SEND, None, gates, one.targets) for one in people]


def composed(message: Message, *, assigned: bool) -> float:
    """CPU seconds of the fastest round."""
    scene = Scene(
        project=1,
        project_facts={"id": "shop", "name": "Shop"},
        categories={"general": Category(name="general", class_=CategoryClass.INFORMATIONAL)},
        templates={},
        events={},
        receipts_for=lambda _project, _notification, _until: lambda user, device: f"{user:032}{device:032}",
        receipts_url="https://push.example/v1/receipts",
        now_text="",
    )
    every, best = decided(message), 1e9
    for _ in range(ROUNDS):
        composer, assigner = Composer(scene), Assigner("shop", {})
        begun = time.process_time()
        for first in range(0, COMPOSED, SLICE):
            part = every[first : first + SLICE]
            composer.compose(assigner.assign(part) if assigned else part)
        best = min(best, time.process_time() - begun)
    return best


def assigned(message: Message) -> float:
    every, best = decided(message), 1e9
    for _ in range(ROUNDS):
        assigner, begun = Assigner("shop", {}), time.process_time()
        for first in range(0, COMPOSED, SLICE):
            assigner.assign(every[first : first + SLICE])
        best = min(best, time.process_time() - begun)
    return best


def a_person() -> dict[str, float]:
    several = Message(title="Words", body="Of the body", variants=VARIANTS)
    plain, both = composed(Message(title="Words", body="Of the body"), assigned=False), composed(several, assigned=True)
    chosen = assigned(several)
    each: Callable[[float], float] = lambda seconds: round(seconds / COMPOSED * 1e6, 2)  # noqa: E731
    return {"compose_us": each(plain), "assign_us": each(chosen), "compose_more_us": each(both - plain - chosen)}


# --- everybody --------------------------------------------------------------------------------------------------------


def rows(project: int, notification: int, first: int, last: int) -> Iterator[tuple[str, tuple[str, ...], list[Any]]]:
    people, hashes, held = range(first, last), [gates_hash(gates) for gates in GATES], gates_hash(HELD)
    mine = (project, notification)
    yield (
        "decision",
        ("project", "notification", "person", "reason", "until", "gates", "at", "revision"),
        [(*mine, n, "send" if n % 10 else "holdout", None, hashes[n % 2] if n % 10 else held, NOW, 0) for n in people],
    )
    yield (
        "delivery",
        ("project", "notification", "person", "device", "kind", "state", "attempts", "updated_at"),
        [(*mine, n, n, "webpush", 8 if n % 40 == 1 else 6 if n % 3 else 4, 1, NOW) for n in people if n % 10],
    )
    yield (
        "receipt",
        ("project", "notification", "person", "device", "kind", "action", "at"),
        [(*mine, n, n, "clicked", "", NOW + HOUR) for n in people if n % 40 == 1],
    )
    yield (
        "event",
        ("project", "person", "name", "properties", "occurred_at"),
        [
            (project, n, name, "{}", NOW + HOUR * at)
            for n in people
            for name, at in (("seen", -1), ("seen", 1), ("bought" if n % 33 == 0 else "left", 2))
        ],
    )


def fill(database: Database, project: int, notification: int, users: int, console: Console) -> None:
    gates = [(project, gates_hash(text), text) for text in (*GATES, HELD)]
    database.add("gate_record", ("project", "hash", "gates"), gates)
    for first in track(range(1, users + 1, _BATCH), "People", console=console, transient=True):
        for table, columns, some in rows(project, notification, first, min(first + _BATCH, users + 1)):
            database.add(table, columns, some)


async def everybody(where: str, users: int, console: Console) -> dict[str, float]:
    store: Store = PostgresStore(where) if where.startswith("postgresql") else SqliteStore(Path(where))
    await store.open()
    founded = await found(store, Sealer(SECRET), SystemChance(), NOW, "Bench")
    project, [key] = founded.project.key, await store.trail.reserve(1)
    message = Message(title="Words", variants=VARIANTS, experiment=Experiment(goal=Goal(event="bought")))
    sent = Notification(key=key, id="n", project=project, message=message, to=Audience(everyone=True), created_at=NOW)
    await store.steps.commit(Effects(notifications=[sent]))
    with opened(where if where.startswith("postgresql") else Path(where)) as database:
        fill(database, project, key, users, console)
    figures = {}
    clicks = msgspec.structs.replace(sent, message=msgspec.structs.replace(message, experiment=None))
    for name, about in (("event_s", sent), ("click_s", clicks)):
        begun = time.monotonic()
        told = await results_of(store, about, NOW + 48 * HOUR)
        figures[name] = round(time.monotonic() - begun, 2)
        assert sum(arm.people for arm in told.arms) == users
    await store.close()
    return figures


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
    scale: Annotated[float, typer.Option(help="Share of the million people.")] = 1.0,
) -> None:
    """CPU that a variant costs a person, and seconds to count a notification to everybody."""
    console, users = Console(stderr=True), max(1000, int(USERS * scale))
    figures = a_person()
    with tempfile.TemporaryDirectory(prefix="clarion-bench-") as folder:
        figures |= asyncio.run(everybody(folder, users, console))
    with postgres() as server:
        if server is not None:
            pg = asyncio.run(everybody(server.create("bench"), users, console))
            figures |= {f"pg_{name}": value for name, value in pg.items()}
    if as_json:
        print(json.dumps(figures))
        return
    table = Table("a person", "µs CPU", title="Two variants")
    for label, name in (
        ("composing without variants", "compose_us"),
        ("choosing a variant, and noting it", "assign_us"),
        ("composing in two wordings, more", "compose_more_us"),
    ):
        table.add_row(label, f"{figures[name]:.2f}")
    Console().print(table)
    table = Table("engine", "success is an event, s", "a click, s", title=f"Results of {users:,} people")
    for label, prefix in (("SQLite", ""), ("PostgreSQL", "pg_")):
        if f"{prefix}event_s" in figures:
            table.add_row(label, f"{figures[prefix + 'event_s']:.2f}", f"{figures[prefix + 'click_s']:.2f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
