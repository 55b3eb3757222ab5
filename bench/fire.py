"""A moment for everybody: how long from the fire of an armed notification until all messages are out, and what is it?

A real journey in one process on SQLite: people and phones are made, a notification to everybody is armed, then fired at
nghttpd, which answers as APNs does; then the same for fewer at FCM and at a Web Push service. `seconds` and `cpu_us`
count until the last message is answered, a little more than until its last byte is written; `recorded_cpu_us` until
each outcome is in the database. CPU is that of the whole process, threads and database included.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

import sqlalchemy as sa
import typer
import uvloop
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from clarion.bootstrap import CONCURRENCY, SystemChance, SystemClock, calm_collector
from clarion.crypto.credentials import ApnsToken, ServiceAccount
from clarion.crypto.identity import AnonymousTokens
from clarion.crypto.p256 import KeyPair
from clarion.crypto.receipts import ReceiptTokens
from clarion.crypto.sealing import Sealer
from clarion.crypto.signing import Signer
from clarion.crypto.webpush import Receiver
from clarion.journey.catalog import Catalog, credential_context
from clarion.journey.founding import found
from clarion.journey.pipeline import WAKE, Pipeline
from clarion.journey.registration import lane_of
from clarion.model import (
    Audience,
    Credential,
    DeliveryState,
    DeviceKind,
    Message,
    Millis,
    Notification,
    Project,
    Registration,
)
from clarion.ports import Accepted, Outgoing, Provider, ProviderOutcome
from clarion.providers.apns import HOSTS, ApnsProvider
from clarion.providers.fcm import FcmProvider
from clarion.providers.webpush import WebPushProvider
from clarion.storage import schema
from clarion.storage.sqlite import SqliteStore
from clarion.transport.bus import LocalBus
from clarion.transport.http import HttpTransport
from clarion.transport.http2 import client_context
from clarion.transport.origins import OriginsTransport
from clarion.transport.senders import Http2Senders
from clarion.workers.delivery import Workers
from clarion.workers.recording import BehindTheSending
from common.nghttpd import FarSide, nghttpd
from http2_peers.target import PATH

MESSAGES = 1_000_000
SECRET = [b"a secret for the bench, 32 bytes and more"]
LONG_AGO_MS = 3_600_000
SEEDED_AT_ONCE = 50_000
FCM_PROJECT = "bench"
VAPID = KeyPair.generate()
TO_REACH = {"cpu_us": 5.0, "recorded_cpu_us": 10.0}


class Case(NamedTuple):
    """A kind of phone. All have the same token, since nghttpd has one file to answer with."""

    kind: DeviceKind
    prefix: str
    address: str
    details: Mapping[str, str]
    share: float
    """Of the messages."""


CASES = (
    Case(
        DeviceKind.APNS, "", PATH.rpartition("/")[2], {"environment": "production", "bundle_id": "com.example.shop"}, 1
    ),
    Case(DeviceKind.FCM, "fcm_", "d" * 140, {"address_kind": "token"}, 0.2),
    Case(DeviceKind.WEBPUSH, "webpush_", "", {}, 0.1),  # a subscription of the run's own
)


class Counting:
    """A provider that counts what was answered, and how."""

    def __init__(self, provider: Provider) -> None:
        self.kind, self.channel = provider.kind, provider.channel
        self.prepare, self.check, self.uses = provider.prepare, provider.check, provider.uses
        self._provider = provider
        self.answered = 0
        self.refused: list[ProviderOutcome] = []

    async def send(self, batch: Sequence[Outgoing], secrets: Mapping[str, bytes], now: Millis) -> list[ProviderOutcome]:
        outcomes = await self._provider.send(batch, secrets, now)
        self.answered += len(outcomes)
        if type(outcomes[0]) is not Accepted:
            self.refused.append(outcomes[0])
        return outcomes


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def credential(kind: DeviceKind, origin: str) -> bytes:
    if kind is DeviceKind.WEBPUSH:
        return VAPID.private
    if kind is DeviceKind.APNS:
        key = pem(ec.generate_private_key(ec.SECP256R1()))
        names = {"key_id": "ABCDE12345", "team_id": "TEAM123456", "bundle_id": "com.example.shop"}
        return ApnsToken(private_key=key, **names).sealed_form()
    key = pem(rsa.generate_private_key(65537, 2048))
    told = {"type": "service_account", "project_id": FCM_PROJECT, "private_key_id": "k", "private_key": key}
    return ServiceAccount.of({**told, "client_email": "a@b.example", "token_uri": f"{origin}/token"}).sealed_form()


def subscribed(case: Case, origin: str) -> Case:
    """With the address and keys of a subscription, where it is for Web Push."""
    if case.kind is not DeviceKind.WEBPUSH:
        return case
    keys = {**Receiver.generate().keys(), "vapid_public_key": VAPID.public_text}
    return case._replace(address=f"{origin}{PATH}?{'e' * 100}", details=keys)


class Measured:
    """One process's share of it, with workers and books."""

    def __init__(self, folder: Path, case: Case, port: int, authority: Path) -> None:
        self.folder, self.origin = folder, f"https://localhost:{port}"
        self.case = subscribed(case, self.origin)
        self.clock = SystemClock()
        self.store = SqliteStore(folder)
        self.senders = Http2Senders(authority=authority)
        self.sealer = Sealer(SECRET)
        self.transport = OriginsTransport(
            HttpTransport(allow_private=True), allow_private=True, tls=client_context(authority=str(authority))
        )
        self.provider = Counting(self._provider(case.kind))
        bus, signer = LocalBus(), Signer(SECRET)
        self.recorder = BehindTheSending(self.store.work, self.clock)
        self.pipeline = Pipeline(
            store=self.store,
            catalog=Catalog(self.store, self.sealer, self.clock, bus),
            bus=bus,
            clock=self.clock,
            chance=SystemChance(),
            providers={case.kind: cast("Provider", self.provider)},
            receipts=ReceiptTokens(signer),
            anonymous=AnonymousTokens(signer),
            receipts_url="https://push.example/v1/receipts",
            recorder=self.recorder,
        )
        pipeline = self.pipeline
        self.workers = Workers(CONCURRENCY, pipeline.step, self.store.work, self.clock, bus, pipeline.throttle)

    def _provider(self, kind: DeviceKind) -> Provider:
        if kind is DeviceKind.APNS:
            return ApnsProvider(self.senders, hosts=dict.fromkeys(HOSTS, self.origin))
        if kind is DeviceKind.FCM:
            return FcmProvider(self.senders, url=self.origin)
        return WebPushProvider(self.transport, subject="mailto:a@b.example", own_origin="https://own.example")

    async def run(self, messages: int) -> dict[str, float]:
        await self.store.open()
        founded = await found(self.store, self.sealer, SystemChance(), self.clock.now(), "Bench")
        project, kind = founded.project, self.case.kind
        name = self.case.details.get("vapid_public_key", "bench")
        sealed = self.sealer.seal(credential(kind, self.origin), credential_context(project.id, kind, name))
        await self.store.projects.add_credential(
            Credential(project=project.key, kind=kind, name=name, sealed=sealed, created_at=self.clock.now())
        )
        self._seed(project, messages)
        self.recorder.start()
        self.workers.start(WAKE)
        armed = await self._armed(project, messages)
        calm_collector()
        figures = await self._fired(project, armed, messages)
        await self.workers.stop()
        await self.recorder.stop()
        await self.senders.close()
        await self.transport.close()
        await self.store.close()
        return figures

    def _seed(self, project: Project, messages: int) -> None:
        """People with one phone each, who have had it for a while."""
        at = self.clock.now() - LONG_AGO_MS
        times = {"created_at": at, "updated_at": at}
        people = {"project": project.key, "attributes": {}, "anonymous": False, **times}
        device = {
            **times,
            "project": project.key,
            "kind": self.case.kind.value,
            "address": self.case.address,
            "lane": lane_of(Registration(kind=self.case.kind, details=dict(self.case.details)), ""),
            "permission": "granted",
            "state": "active",
            "details": json.dumps(self.case.details),
            "registered_at": at,
        }
        engine = sa.create_engine(f"sqlite:///{next(self.folder.glob('*.db'))}")
        with engine.begin() as connection:
            connection.execute(sa.text("DROP INDEX device_address"))  # one token for all
        for start in range(0, messages, SEEDED_AT_ONCE):
            numbers = range(start, min(start + SEEDED_AT_ONCE, messages))
            with engine.begin() as connection:
                connection.execute(sa.insert(schema.person), [{**people, "id": f"u{n}"} for n in numbers])
                last = connection.scalar(sa.select(sa.func.max(schema.person.c.key))) or 0
                first = last - len(numbers) + 1
                rows = [{**device, "id": f"{n:032x}", "person": first + n - start} for n in numbers]
                connection.execute(sa.insert(schema.device), rows)
            print(f"seeded {numbers[-1] + 1}", flush=True)
        engine.dispose()

    async def _armed(self, project: Project, messages: int) -> Notification:
        said = Message(
            title="Goal!", body="Two to one, in the last minute.", url="https://shop.example/live", ttl=3_600
        )
        armed = await self.pipeline.notify(project, said, Audience(everyone=True), arm=True)
        while True:
            await asyncio.sleep(0.5)
            progress = await self.store.trail.progress(project.key, armed.key)
            print(f"armed {progress.reasons.get('send', 0)}", flush=True)
            if progress.due_at == armed.armed_until and progress.reasons == {"send": messages}:
                return armed

    async def _fired(self, project: Project, armed: Notification, messages: int) -> dict[str, float]:
        usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        cpu, wall = time.process_time(), time.monotonic()
        await self.pipeline.fire(project, armed.id)
        await self._until(lambda: self.provider.answered >= messages, "sent")
        sent_cpu, sent_wall = time.process_time() - cpu, time.monotonic() - wall
        await self._until(lambda: not self.recorder.waiting, "recorded")
        cpu = time.process_time() - cpu
        if self.provider.refused:
            raise SystemExit(f"nghttpd refused messages: {self.provider.refused[0]}")
        progress = await self.store.trail.progress(project.key, armed.key)
        if progress.deliveries != {DeliveryState.ACCEPTED: messages}:
            raise SystemExit(f"not all were recorded: {progress.deliveries}")
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - usage
        return {
            "seconds": round(sent_wall, 2),
            "cpu_us": round(sent_cpu / messages * 1e6, 2),
            "recorded_cpu_us": round(cpu / messages * 1e6, 2),
            "grown_mb": round(grown / 1024, 1),
        }

    async def _until(self, done: Any, word: str) -> None:
        looks = 0
        while not done():
            await asyncio.sleep(0.02)
            looks += 1
            if looks % 25 == 0:
                waiting = self.recorder.waiting if word == "recorded" else 0
                print(word, self.provider.answered - waiting, flush=True)


def in_process(console: Console, case: Case, messages: int, port: int, authority: Path) -> dict[str, float]:
    """Measured in a process of its own."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f}"))
    with tempfile.TemporaryDirectory(prefix="clarion-bench-") as folder:
        this = [sys.executable, __file__, "--run", case.kind.value, "--messages", str(messages)]
        command = [*this, "--folder", folder, "--port", str(port), "--authority", str(authority)]
        last = "{}"
        with (
            Progress(*columns, console=console, transient=True) as progress,
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child,
        ):
            tasks = {
                word: progress.add_task(f"{case.kind} {word}", total=messages)
                for word in ("seeded", "armed", "sent", "recorded")
            }
            for line in child.stdout or ():
                last = line
                word, _, number = line.partition(" ")
                if word in tasks:
                    progress.update(tasks[word], completed=int(number))
        if child.returncode:
            raise SystemExit(child.returncode)
    figures: dict[str, float] = json.loads(last)
    return figures


def prepare(far: FarSide) -> None:
    """What nghttpd answers as APNs, as FCM, and as Google's token endpoint."""
    far.answer(PATH)
    name = b'{"name":"projects/bench/messages/0:1500415314455276%31bd1c9631bd1c96"}'
    far.answer(f"/v1/projects/{FCM_PROJECT}/messages:send", name)
    far.answer("/token", b'{"access_token":"%s","expires_in":3599,"token_type":"Bearer"}' % (b"y" * 200))


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
    scale: Annotated[float, typer.Option(help="Share of the 1,000,000 messages.")] = 1.0,
    run: Annotated[str, typer.Option(hidden=True)] = "",
    messages: Annotated[int, typer.Option(hidden=True)] = 0,
    folder: Annotated[Path, typer.Option(hidden=True)] = Path(),
    port: Annotated[int, typer.Option(hidden=True)] = 0,
    authority: Annotated[Path, typer.Option(hidden=True)] = Path(),
) -> None:
    """Seconds and CPU from the fire of an armed notification to the last message, and to the last outcome."""
    if run:
        case = next(case for case in CASES if case.kind == run)
        print(json.dumps(uvloop.run(Measured(folder, case, port, authority).run(messages))))
        return
    console, figures, counts = Console(stderr=True), dict[str, float](), dict[str, int]()
    with nghttpd() as far:
        prepare(far)
        for case in CASES:
            counts[case.prefix] = max(5_000, int(MESSAGES * scale * case.share))
            measured = in_process(console, case, counts[case.prefix], far.port, far.authority)
            figures |= {case.prefix + name: value for name, value in measured.items()}
    if as_json:
        print(json.dumps(figures))
        return
    table = Table("", title="From the fire of an armed notification")
    for heading in ("messages", "seconds", "µs CPU a message", "… recorded too", "MB grown"):
        table.add_column(heading, justify="right")
    for case in CASES:
        row = [figures[case.prefix + key] for key in ("seconds", "cpu_us", "recorded_cpu_us", "grown_mb")]
        words = (f"{row[0]:.2f}", f"{row[1]:.2f}", f"{row[2]:.2f}", f"{row[3]:.0f}")
        table.add_row(case.kind.upper(), f"{counts[case.prefix]:,}", *words)
    shown = Console()
    shown.print(table)
    shown.print("To reach: " + ", ".join(f"{name} {limit:g}" for name, limit in TO_REACH.items()))


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    typer.run(main)
