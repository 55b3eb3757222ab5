"""How many devices does one process of our push service hold, at what cost, and how fast does a message reach them?

- memory: resident bytes of a real `clarion serve` on SQLite for each further device, connected, known, with a
  subscription and its session; the slope from 1,000 devices to the limit of open files. Beside it a plain `websockets`
  server that holds as many.
- connect: devices that the server knows come back all at once: TCP, WebSocket handshake, hello and its answer.
- push and acknowledge: batches of 1,000 go into `Gateway.accept`, as our own sender hands them over, without HTTP. Each
  message (TTL one day, VAPID, 240 bytes) is on disk before anything else, goes over the socket of its device, is
  acknowledged there by itself, and the time ends when the last one has been deleted from the store. Then the same with
  messages of our own sender, whose delivery ids the store must find new, and remembers.
- POST: real HTTP requests to `/wpush/`, on disk before their 201, at 3,000 a second and as fast as they are answered.
  From POST to frame: from the moment the request was due to the moment the device has read its frame.
- drain: messages posted to devices that are away, until the last one has been read after these came back.
- several processes: five of them on PostgreSQL with their own devices; POST at the first, devices on the others.

CPU is that of the server, threads included. Where other work shares the machine, it says more than the rates.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from clarion.crypto.p256 import KeyPair
from clarion.crypto.vapid import Vapid
from fleet.control import Child
from fleet.servers import KEPT_FILES, ORIGIN, Server, child, clarion, listening, raise_file_limit

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from postgres_server import DURABLE, find_binaries, running_server

MOST_DEVICES = 100_000
FIRST = 1_000
STEPS = (0.25, 0.5, 1.0)
PUSHES = 300_000
POSTS = 60_000
POST_RATE = 3_000
AWAY, STORED_EACH = 5_000, 20
PROCESSES, ADDRESSED, POSTS_ACROSS, POST_RATE_ACROSS = 5, 1_000, 20_000, 500
_QUIET = 0.05  # share of a core
_LOOK_S = 0.3

Figures = dict[str, Any]


class Sizes(NamedTuple):
    """How much of everything."""

    scale: float
    devices: int
    first: int

    def of(self, count: int) -> int:
        """A share of the full count."""
        return max(500, int(count * self.scale))


class Bench:
    """What all questions share: the sender's identity, the screen, a folder, and the figures."""

    def __init__(self, progress: Progress, folder: Path, sizes: Sizes) -> None:
        self.progress, self.folder, self.sizes = progress, folder, sizes
        self.figures: Figures = {}
        self.vapid = KeyPair.generate()
        now = time.time_ns() // 1_000_000
        self.authorization = Vapid().authorization(ORIGIN, self.vapid.private, now, "mailto:bench@example.com")

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Callable[[int], None]]:
        """A progress bar while something runs."""
        task = self.progress.add_task(label, total=total)
        yield lambda done: self.progress.update(task, completed=done)
        self.progress.remove_task(task)

    def connect(self, fleet: Child, label: str, count: int, **how: Any) -> Figures:
        """Let a fleet connect `count` devices."""
        with self.bar(label, count) as advance:
            return fleet.ask("connect", advance, count=count, **how)

    def endpoints(self, fleet: Child, count: int) -> str:
        """A file with the addresses of its first `count` devices."""
        path = self.folder / f"endpoints-{fleet.measured.pid}"
        assert fleet.ask("endpoints", path=str(path), count=count)["endpoints"] == count
        return str(path)

    def fleet_of(self, server: Server) -> Any:
        """A process of devices of a server."""
        return child("devices", "127.0.0.1", str(server.push_port))


def settle(server: Server) -> None:
    """Wait until the server has nothing more to do."""
    while True:
        before = server.child.cpu()
        time.sleep(_LOOK_S)
        if server.child.cpu() - before < _QUIET * _LOOK_S:
            return


def slope(points: list[tuple[int, int]]) -> float:
    """KB a device from the first to the last of (devices, resident bytes)."""
    (devices_0, bytes_0), (devices_1, bytes_1) = points[0], points[-1]
    return round((bytes_1 - bytes_0) / (devices_1 - devices_0) / 1024, 2)


def grow(bench: Bench, server: Server, fleet: Child, label: str, key: str | None) -> list[tuple[int, int]]:
    """Connect devices step by step: how many there were and what the server held."""
    sizes = bench.sizes
    points: list[tuple[int, int]] = []
    for wanted in (sizes.first, *(int(sizes.devices * step) for step in STEPS)):
        bench.connect(fleet, f"{label}: {wanted:,} devices", wanted - (points[-1][0] if points else 0), key=key)
        settle(server)
        points.append((wanted, server.child.resident()))
    return points


# --- one process ------------------------------------------------------------------------------------------------------


def one_process(bench: Bench) -> None:
    """Memory, connecting, POST to frame and draining, of `clarion serve` on SQLite."""
    with ExitStack() as stack:
        server = stack.enter_context(clarion(bench.folder / "one"))
        fleet = stack.enter_context(bench.fleet_of(server))
        sender = stack.enter_context(child("senders"))
        cpu, begun = server.child.cpu(), time.monotonic()
        points = grow(bench, server, fleet, "connect and register", bench.vapid.public_text)
        bench.figures |= {
            "devices": bench.sizes.devices,
            "kb_per_device": slope(points),
            "kb_per_device_at": {after[0]: slope([before, after]) for before, after in pairwise(points)},
            "registered_per_s": round(bench.sizes.devices / (time.monotonic() - begun)),
            "register_cpu_us": round((server.child.cpu() - cpu) / bench.sizes.devices * 1e6, 1),
        }
        come_back(bench, server, fleet)
        post(bench, server, fleet, sender)
        drain(bench, server, fleet, sender)


def come_back(bench: Bench, server: Server, fleet: Child) -> None:
    """All devices lose their connection and connect again."""
    count = bench.sizes.devices
    fleet.ask("drop", count=count)
    settle(server)
    cpu = server.child.cpu()
    told = bench.connect(fleet, "connect and hello", count, again=True)
    settle(server)
    bench.figures["connects_per_s"] = round(count / told["seconds"])
    bench.figures["connect_cpu_us"] = round((server.child.cpu() - cpu) / count * 1e6, 1)


def send(
    bench: Bench, server: Server, fleets: dict[Child, int], sender: Child, label: str, endpoints: str, **how: Any
) -> tuple[Figures, list[Figures], float]:
    """POST, and wait until each fleet has what it expects.

    What the sender tells, what the fleets tell, and CPU seconds of the server.
    """
    cpu = server.child.cpu()
    for fleet, expected in fleets.items():
        fleet.tell("receive", count=expected)
    with bench.bar(label, how["count"]) as advance:
        told = sender.ask(
            "post", advance, endpoints=endpoints, authorization=bench.authorization, port=server.port, **how
        )
        received = [fleet.answer() for fleet in fleets]
    settle(server)
    return told, received, server.child.cpu() - cpu


def post(bench: Bench, server: Server, fleet: Child, sender: Child) -> None:
    """POST at a rate, then at the limit."""
    count = bench.sizes.of(POSTS)
    endpoints = bench.endpoints(fleet, bench.sizes.devices)
    label = f"POST at {POST_RATE:,}/s"
    _, [frames], cpu = send(bench, server, {fleet: count}, sender, label, endpoints, count=count, rate=POST_RATE)
    told, _, cpu_at_limit = send(bench, server, {fleet: count}, sender, "POST at the limit", endpoints, count=count)
    bench.figures |= {
        "p50_ms": round(frames["p50_ms"], 2),
        "p99_ms": round(frames["p99_ms"], 2),
        "post_cpu_us": round(cpu / count * 1e6, 1),
        "post_per_s": round(told["per_s"]),
        "post_at_limit_cpu_us": round(cpu_at_limit / count * 1e6, 1),
    }


def drain(bench: Bench, server: Server, fleet: Child, sender: Child) -> None:
    """Store for devices that are away; then they come."""
    away = bench.sizes.of(AWAY)
    count = away * STORED_EACH
    endpoints = bench.endpoints(fleet, away)
    fleet.ask("drop", count=away)
    settle(server)
    resident = most = server.child.resident()
    told, _, cpu = send(bench, server, {}, sender, "store", endpoints, count=count)
    bench.figures |= {"stored_per_s": round(told["per_s"]), "store_cpu_us": round(cpu / count * 1e6, 1)}

    cpu, begun = server.child.cpu(), time.monotonic()
    bench.connect(fleet, "come back for what waits", away, again=True)
    with bench.bar("drain", count) as advance:

        def look(done: int) -> None:
            nonlocal most
            most = max(most, server.child.resident())
            advance(done)

        fleet.ask("receive", look, count=count)
    seconds = time.monotonic() - begun
    settle(server)
    bench.figures |= {
        "drained_per_s": round(count / seconds),
        "drain_cpu_us": round((server.child.cpu() - cpu) / count * 1e6, 1),
        "drain_grew_mb": round((most - resident) / 2**20, 1),
    }


def push(bench: Bench) -> None:
    """Batches into the gateway, to devices that acknowledge."""
    count = bench.sizes.of(PUSHES)
    with listening("pusher", str(bench.folder / "pushed")) as server, bench.fleet_of(server) as fleet:
        bench.connect(fleet, "devices to push to", bench.sizes.devices, key=bench.vapid.public_text)
        settle(server)
        endpoints = bench.endpoints(fleet, bench.sizes.devices)
        for key, own in (("push_ack", False), ("own_push_ack", True)):
            with bench.bar("push and acknowledge", count) as advance:
                told = server.child.ask(
                    "push", advance, endpoints=endpoints, authorization=bench.authorization, count=count, own=own
                )
            bench.figures |= {f"{key}_per_s": round(told["per_s"]), f"{key}_cpu_us": round(told["cpu_us"], 1)}


def peer(bench: Bench) -> None:
    """The same devices at a plain `websockets` server."""
    with listening("peer") as server, bench.fleet_of(server) as fleet:
        bench.figures["peer_kb_per_device"] = slope(grow(bench, server, fleet, "websockets", None))


# --- several processes ------------------------------------------------------------------------------------------------


def several_processes(bench: Bench, url: str) -> None:
    """Five processes on PostgreSQL, each with its own devices."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(clarion(bench.folder / f"node-{n}", DATABASE_URL=url)) for n in range(PROCESSES)]
        fleets = [stack.enter_context(bench.fleet_of(node)) for node in nodes]
        sender = stack.enter_context(child("senders"))
        cpu, begun = cpu_of(nodes), time.monotonic()
        for fleet in fleets:
            fleet.tell("connect", count=bench.sizes.devices, key=bench.vapid.public_text)
        with bench.bar("five processes: connect and register", bench.sizes.devices) as advance:
            for fleet in fleets:
                fleet.answer(advance)
        total = PROCESSES * bench.sizes.devices
        bench.figures |= {
            "pg_devices": total,
            "pg_registered_per_s": round(total / (time.monotonic() - begun)),
            "pg_register_cpu_us": round((cpu_of(nodes) - cpu) / total * 1e6, 1),
        }
        post_across(bench, nodes, fleets, sender)


def post_across(bench: Bench, nodes: list[Server], fleets: list[Child], sender: Child) -> None:
    """POST at the first process, to devices of the others."""
    each = min(ADDRESSED, bench.sizes.devices)
    files = [Path(bench.endpoints(fleet, each)) for fleet in fleets[1:]]
    endpoints = bench.folder / "endpoints-of-others"
    endpoints.write_text("\n".join(path.read_text("ascii") for path in files), "ascii")
    rounds = max(1, bench.sizes.of(POSTS_ACROSS) // (each * len(files)))
    count, expected = rounds * each * len(files), dict.fromkeys(fleets[1:], rounds * each)
    for label, rate in (("at_rate", POST_RATE_ACROSS), ("at_limit", None)):
        cpu = cpu_of(nodes)
        told, received, _ = send(
            bench, nodes[0], expected, sender, f"POST across, {label}", str(endpoints), count=count, rate=rate
        )
        bench.figures |= {
            f"pg_post_per_s_{label}": round(told["per_s"]),
            f"pg_p99_ms_{label}": round(max(fleet["p99_ms"] for fleet in received), 1),
            f"pg_post_cpu_us_{label}": round((cpu_of(nodes) - cpu) / count * 1e6, 1),
        }


def cpu_of(servers: list[Server]) -> float:
    """Seconds that all of them computed so far."""
    return sum(server.child.cpu() for server in servers)


# --- what is shown ----------------------------------------------------------------------------------------------------

ROWS = (
    ("resident KB a device", "kb_per_device", None),
    ("… a plain websockets server", "peer_kb_per_device", None),
    ("known devices that connect, each with its hello", "connects_per_s", "connect_cpu_us"),
    ("new devices that connect and register", "registered_per_s", "register_cpu_us"),
    ("pushed, acknowledged and deleted", "push_ack_per_s", "push_ack_cpu_us"),
    ("… of our own sender, each with its id", "own_push_ack_per_s", "own_push_ack_cpu_us"),
    ("POSTs at the limit", "post_per_s", "post_at_limit_cpu_us"),
    (f"ms from POST to frame, median, at {POST_RATE:,} POSTs/s", "p50_ms", "post_cpu_us"),
    ("… of 99 in 100", "p99_ms", None),
    ("POSTs to devices that are away", "stored_per_s", "store_cpu_us"),
    ("messages drained when they come back", "drained_per_s", "drain_cpu_us"),
    ("… MB that the process grew by", "drain_grew_mb", None),
    ("devices on five processes and PostgreSQL", "pg_devices", "pg_register_cpu_us"),
    ("… POSTs to another process at the limit", "pg_post_per_s_at_limit", "pg_post_cpu_us_at_limit"),
    (
        f"… ms from POST to frame of 99 in 100 at {POST_RATE_ACROSS:,} POSTs/s",
        "pg_p99_ms_at_rate",
        "pg_post_cpu_us_at_rate",
    ),
)


def table_of(figures: Figures) -> Table:
    """The figures for people."""
    table = Table("", title=f"Our push service, {figures.get('devices', 0):,} devices on one process and SQLite")
    for heading in ("a second, or as named", "µs CPU of the server for each"):
        table.add_column(heading, justify="right")
    for label, key, cost in ROWS:
        if key in figures:
            table.add_row(label, f"{figures[key]:,}", f"{figures[cost]:,}" if cost else "")
    for devices, slope_there in figures.get("kb_per_device_at", {}).items():
        table.add_row(f"KB a device up to {devices:,} devices", f"{slope_there:,}", "")
    return table


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
    scale: Annotated[float, typer.Option(help="Share of the devices and messages.")] = 1.0,
    only: Annotated[str, typer.Option(hidden=True)] = "one,push,peer,pg",
) -> None:
    """Devices, memory, rates and times of our push service."""
    most = min(MOST_DEVICES, raise_file_limit() - KEPT_FILES)
    sizes = Sizes(scale, devices=max(1_000, int(most * scale)), first=max(200, int(FIRST * min(1, scale))))
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}"), TimeElapsedColumn())
    with (
        Progress(*columns, console=console, transient=True) as progress,
        tempfile.TemporaryDirectory(prefix="clarion-bench-") as folder,
    ):
        bench = Bench(progress, Path(folder), sizes)
        if "one" in only:
            one_process(bench)
        if "push" in only:
            push(bench)
        if "peer" in only:
            peer(bench)
        binaries = find_binaries()
        if binaries is not None and "pg" in only:
            with running_server(binaries, DURABLE) as postgres:
                several_processes(bench, postgres.create("bench"))
    if as_json:
        print(json.dumps(bench.figures))
        return
    Console().print(table_of(bench.figures))


if __name__ == "__main__":
    typer.run(main)
