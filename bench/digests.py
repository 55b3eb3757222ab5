"""What does it cost to collect a message for a digest, and to send the digest?

Everybody is told the same things one after the other, each a notification of its own, and the window ends for all at
once. The workers' whole step counts: facts, gates, composing and writing, on SQLite; only the push service is a stub.
Beside it the same messages in a category without a digest, handed over one by one. CPU is that of the whole process.
"""

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from clarion.bootstrap import SystemChance, calm_collector
from clarion.crypto.identity import AnonymousTokens
from clarion.crypto.receipts import ReceiptTokens
from clarion.crypto.sealing import Sealer
from clarion.crypto.signing import Signer
from clarion.journey.catalog import Catalog
from clarion.journey.founding import found
from clarion.journey.pipeline import Pipeline
from clarion.model import (
    Audience,
    Category,
    DeviceKind,
    Digest,
    FixedWindow,
    Message,
    Permission,
    Project,
    Registration,
)
from clarion.ports import Store
from clarion.providers.stub import StubProvider
from clarion.storage.sqlite import SqliteStore
from clarion.testing import ManualClock
from clarion.transport.bus import LocalBus

USERS, ITEMS = 10_000, 5
SECRET = [b"a secret for the bench, 32 bytes and more"]
WORDS = Digest(window=FixedWindow(seconds=600), title="{{ count }} new comments", body="{{ last.title }}")
DETAILS = {"p256dh": "B" * 87, "auth": "a" * 22, "vapid_public_key": "B" * 87}


class Measured:
    """One process with one worker, on a clock of its own."""

    def __init__(self, store: Store) -> None:
        self.store, self.clock = store, ManualClock()
        bus, signer, sealer = LocalBus(), Signer(SECRET), Sealer(SECRET)
        self.pipeline = Pipeline(
            store=store,
            catalog=Catalog(store, sealer, self.clock, bus),
            bus=bus,
            clock=self.clock,
            chance=SystemChance(),
            providers={DeviceKind.WEBPUSH: StubProvider()},
            receipts=ReceiptTokens(signer),
            anonymous=AnonymousTokens(signer),
            receipts_url="https://push.example/v1/receipts",
        )

    async def begin(self, users: int) -> Project:
        project = (await found(self.store, Sealer(SECRET), SystemChance(), self.clock.now(), "Bench")).project
        for category in (Category(name="one by one"), Category(name="collected", digest=WORDS)):
            body = msgspec.to_builtins(category)
            await self.store.definitions.put(project.key, "categories", category.name, body, self.clock.now())
        keys = await self.store.users.resolve(project.key, [f"u{each}" for each in range(users)], 0, create=True)
        for name, key in keys.items():
            address = Registration(
                kind=DeviceKind.WEBPUSH,
                address=f"https://push.example/{name}",
                permission=Permission.GRANTED,
                details=DETAILS,
            )
            await self.store.devices.register(project.key, key, address, f"device-{name}", 0)
        return project

    async def cpu(self, project: Project, category: str | None) -> float:
        """Seconds of CPU to do all that is due, after somebody said something in that category."""
        if category is not None:
            message = Message(category=category, title="Bob wrote: well said", data={"post": "p1"})
            await self.pipeline.notify(project, message, Audience(everyone=True))
        cpu = time.process_time()
        while True:
            now = self.clock.now()
            queues = [queue for queue, due in (await self.store.work.waiting()).items() if due <= now]
            leases = [lease for queue in queues for lease in await self.store.work.claim(queue, 10, now, 60_000)]
            if not leases:
                return time.process_time() - cpu
            for lease in leases:
                await self.pipeline.step(lease)


async def measure(folder: Path, users: int) -> dict[str, float]:
    """Microseconds of CPU, for a message to one person or for a digest of five."""
    store = SqliteStore(folder)
    await store.open()
    measured = Measured(store)
    project = await measured.begin(users)
    calm_collector()
    await measured.cpu(project, "one by one")
    alone = sum([await measured.cpu(project, "one by one") for _ in range(ITEMS)])
    collecting = sum([await measured.cpu(project, "collected") for _ in range(ITEMS)])
    measured.clock.advance(minutes=10)
    leaving = await measured.cpu(project, None)
    await store.close()
    return {
        "sent_us": round(alone / users / ITEMS * 1e6, 1),
        "collected_us": round(collecting / users / ITEMS * 1e6, 1),
        "digest_us": round(leaving / users * 1e6, 1),
    }


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
    scale: Annotated[float, typer.Option(help="Share of the ten thousand people.")] = 1.0,
) -> None:
    """CPU of collecting a message and of sending a digest of five, beside a message that is sent by itself."""
    users = max(500, int(USERS * scale))
    with tempfile.TemporaryDirectory(prefix="clarion-bench-") as folder:
        figures = asyncio.run(measure(Path(folder), users))
    if as_json:
        print(json.dumps(figures))
        return
    table = Table("what", "µs CPU", title=f"Digests of {ITEMS}, {users:,} people, SQLite")
    for key, words in (
        ("sent_us", "a message sent by itself, whole way"),
        ("collected_us", "a message collected"),
        ("digest_us", f"a digest of {ITEMS} made and sent, whole way"),
    ):
        table.add_row(words, f"{figures[key]:.1f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
