"""What does a Web Push delivery cost, and how long does a large batch keep the loop? With and without other processes.

Batches of a thousand go through `WebPushProvider` to one nghttpd (nghttp2's own server) over TLS, four at once, as the
workers send them. CPU a message is that of our process and of those that encrypt for it, of the best round; a turn is
what the loop does before it looks at its sockets again, the longest of a round, in CPU time; the median of the rounds.
"""

import asyncio
import json
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import psutil
import typer
import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from clarion.bootstrap import calm_collector
from clarion.crypto.p256 import KeyPair
from clarion.crypto.webpush import Receiver
from clarion.model import DeviceKind
from clarion.ports import Accepted, Address, Outgoing, Ready
from clarion.providers.webpush import WebPushProvider
from clarion.transport.http import HttpTransport
from clarion.transport.http2 import client_context
from clarion.transport.origins import OriginsTransport
from clarion.workers.encryption import EncryptionPool, default_processes
from common.nghttpd import nghttpd
from http2_peers.target import PATH

BATCH = 1_000
AT_ONCE = 4
ROUNDS = 10
PAYLOAD = 400


class Figure(NamedTuple):
    """Microseconds of CPU a message, of this process and of the others; messages a second; the longest turn."""

    own_us: float
    others_us: float
    per_s: float
    turn_ms: float


class Sender:
    """A provider that encrypts with so many processes, and batches for new subscribers."""

    def __init__(self, processes: int, port: int, authority: Path) -> None:
        self.pool = EncryptionPool(processes)
        self.transport = OriginsTransport(
            HttpTransport(allow_private=True),
            allow_private=True,
            tls=client_context(authority=str(authority)),
        )
        self.provider = WebPushProvider(
            self.transport, subject="mailto:a@shop.example", own_origin="https://own.example", encrypt=self.pool.encrypt
        )
        self._vapid = KeyPair.generate()
        self.secrets = {self._vapid.public_text: self._vapid.private}
        self.batches = [[self._message(port, number) for number in range(BATCH)] for _ in range(AT_ONCE)]

    def _message(self, port: int, number: int) -> Outgoing:
        details = {**Receiver.generate().keys(), "vapid_public_key": self._vapid.public_text}
        endpoint = f"https://localhost:{port}{PATH}?{os.urandom(60).hex()}"
        expires_at = time.time_ns() // 1_000_000 + 86_400_000
        ready = Ready(1, number, number, os.urandom(16), os.urandom(PAYLOAD), "news", expires_at, "normal", None)
        return Outgoing(ready, Address(number, number, DeviceKind.WEBPUSH, endpoint, msgspec.json.encode(details)))

    async def prepare(self) -> None:
        """So that nothing is left to encrypt."""
        for batch in self.batches:
            bodies = await self.provider.prepare(batch, self.secrets)
            batch[:] = [msgspec.structs.replace(each, body=body) for each, body in zip(batch, bodies, strict=True)]

    async def send(self) -> None:
        await asyncio.gather(*map(self._send, self.batches))

    async def _send(self, batch: Sequence[Outgoing]) -> None:
        outcomes = await self.provider.send(batch, self.secrets, time.time_ns() // 1_000_000)
        refused = [outcome for outcome in outcomes if not isinstance(outcome, Accepted)]
        assert not refused, refused[0]

    def cpu_of_others(self) -> float:
        """Seconds."""
        return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in self.pool.pids)

    async def close(self) -> None:
        await self.transport.close()
        await self.pool.close()


async def longest_turn(sender: Sender) -> float:
    """Milliseconds, while all batches are sent once."""
    sending = asyncio.create_task(sender.send())
    longest, at = 0.0, time.thread_time()
    while not sending.done():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, at = max(longest, now - at), now
    await sending
    return longest * 1000


async def measure(sender: Sender, rounds: int, *, prepared: bool) -> Figure:
    calm_collector()
    if prepared:
        await sender.prepare()
    await sender.send()  # connections and processes are there
    figures, count = [], BATCH * AT_ONCE
    for _ in range(rounds):
        begun, own, others = time.monotonic(), time.process_time(), sender.cpu_of_others()
        await sender.send()
        own, others = time.process_time() - own, sender.cpu_of_others() - others
        per_s = count / (time.monotonic() - begun)
        figures.append(Figure(own / count * 1e6, others / count * 1e6, per_s, await longest_turn(sender)))
    await sender.close()
    return Figure(
        min(figure.own_us for figure in figures),
        statistics.median(figure.others_us for figure in figures),
        max(figure.per_s for figure in figures),
        statistics.median(figure.turn_ms for figure in figures),
    )


def measure_all(scale: float, console: Console) -> dict[str, Figure]:
    rounds = max(3, round(ROUNDS * scale))
    cases = {"without encryption": (0, True), "in the loop": (0, False)}
    cases |= {f"by {n} process{'es' * (n > 1)}": (n, False) for n in sorted({1, default_processes() or 1})}
    found: dict[str, Figure] = {}
    with nghttpd() as far, Progress(console=console, transient=True) as progress:
        far.answer(PATH)
        for label, (processes, prepared) in progress.track(list(cases.items()), description="Web Push"):
            sender = Sender(processes, far.port, far.authority)
            found[label] = uvloop.run(measure(sender, rounds, prepared=prepared))
    return found


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
    scale: Annotated[float, typer.Option(help="Share of the rounds.")] = 1.0,
) -> None:
    """CPU a Web Push message, and how long the loop is kept."""
    found = measure_all(scale, Console(stderr=True))
    if as_json:
        flat = {
            f"{label} {name}".replace(" ", "_"): round(value, 2)
            for label, figure in found.items()
            for name, value in figure._asdict().items()
        }
        print(json.dumps(flat))
        return
    table = Table("encryption", title=f"Web Push, {PAYLOAD} bytes of payload, {AT_ONCE} batches of {BATCH:,} at once")
    for column in ("µs, this process", "µs, the others", "messages a second", "longest turn, ms"):
        table.add_column(column, justify="right")
    for label, figure in found.items():
        table.add_row(label, *(f"{value:,.1f}" for value in figure))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
