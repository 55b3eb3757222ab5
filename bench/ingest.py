"""How many events does one server take, each on disk before its answer?

A real `clarion serve` on SQLite in a process of its own; the client beside it writes requests that were made beforehand
over 64 connections, so that the server is what is measured. Every answer is read and must be 202.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NamedTuple

import psutil
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

CONNECTIONS = 64
SINGLES = 60_000
BATCHES = 400
BATCH = 1000
PEOPLE = 10_000


class Server(NamedTuple):
    """A running server: its port, a server key, and its process."""

    port: int
    key: str
    process: psutil.Process


@contextmanager
def clarion() -> Iterator[Server]:
    """`clarion serve` in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="clarion-bench-") as folder:
        command = [sys.executable, "-m", "clarion"]
        made = subprocess.run(
            [*command, "project", "create", "bench", "--data", folder, "--json"],
            check=True,
            capture_output=True,
            text=True,
        )
        port, push_port = free_ports()
        ports = ["--port", str(port), "--push-port", str(push_port)]
        environ = {**os.environ, "CLARION_LOG_LEVEL": "warning", "CLARION_RATE_LIMITS": "off"}
        child = subprocess.Popen([*command, "serve", "--data", folder, *ports], env=environ)
        try:
            wait_until_healthy(port)
            yield Server(port, json.loads(made.stdout)["server_key"], psutil.Process(child.pid))
        finally:
            child.terminate()
            child.wait()


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def wait_until_healthy(port: int) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


class Connection(asyncio.Protocol):
    """One keep-alive connection that sends the next request as soon as the answer to the last one is here."""

    def __init__(self, requests: Iterator[bytes], done: "asyncio.Future[None]", tick: "Ticker") -> None:
        self._requests, self._done, self._tick = requests, done, tick
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        if len(rest) < length:
            return
        if not head.startswith(b"HTTP/1.1 202"):
            self._done.set_exception(RuntimeError(f"{head[:40]!r} {rest[:300]!r}"))
            return
        self._buffer = rest[length:]
        self._tick.count += 1
        self._next()

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is not None:
            self._transport.write(request)  # type: ignore[attr-defined] # a TCP transport is a write transport
        elif not self._done.done():
            self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the server closed the connection"))


class Ticker:
    """Answers so far."""

    count = 0


def request(server: Server, body: bytes) -> bytes:
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def event(number: int) -> dict[str, object]:
    return {
        "user_id": f"user-{number % PEOPLE}",
        "name": "product_viewed",
        "properties": {"sku": f"A-{number % 997}", "price": 19.9, "currency": "EUR"},
        "occurred_at": "2026-11-22T17:00:00Z",
    }


async def drive(server: Server, requests: list[bytes], connections: int, console: Console, label: str) -> float:
    """Send all of them; seconds from the first to the last answer."""
    loop, waiting, tick = asyncio.get_running_loop(), iter(requests), Ticker()
    futures = [loop.create_future() for _ in range(connections)]
    start = time.monotonic()
    for future in futures:
        await loop.create_connection(lambda f=future: Connection(waiting, f, tick), "127.0.0.1", server.port)  # type: ignore[misc] # mypy cannot infer a lambda with a default
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task(label, total=len(requests))
        while left := [future for future in futures if not future.done()]:
            await asyncio.wait(left, timeout=0.2)
            progress.update(task, completed=tick.count)
    for future in futures:
        future.result()
    return time.monotonic() - start


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
    scale: Annotated[float, typer.Option(help="Share of the events.")] = 1.0,
) -> None:
    """Durable events a second, one by one and in batches of 1,000."""
    console, rows = Console(stderr=True), []
    figures: dict[str, float] = {}
    with clarion() as server:
        singles = [request(server, json.dumps(event(n)).encode()) for n in range(max(2000, int(SINGLES * scale)))]
        batches = [
            request(server, json.dumps({"events": [event(n * BATCH + i) for i in range(BATCH)]}).encode())
            for n in range(max(10, int(BATCHES * scale)))
        ]
        cases = (("single", singles, CONNECTIONS, 1), ("batch", batches, 8, BATCH))
        for name, requests, connections, size in cases:
            before = cpu(server.process)
            seconds = asyncio.run(drive(server, requests, connections, console, name))
            events = len(requests) * size
            figures[f"{name}_per_s"] = round(events / seconds)
            figures[f"{name}_cpu_us"] = round((cpu(server.process) - before) / events * 1e6, 2)
            rows.append((name, connections, events, figures[f"{name}_per_s"], figures[f"{name}_cpu_us"]))
    if as_json:
        print(json.dumps(figures))
        return
    table = Table("events", title="Events on disk before the answer, one process, SQLite")
    for heading in ("connections", "sent", "events/s", "µs CPU of the server an event"):
        table.add_column(heading, justify="right")
    for name, connections, events, rate, cost in rows:
        table.add_row(name, str(connections), f"{events:,}", f"{rate:,}", f"{cost:.2f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
