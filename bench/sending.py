"""What does one delivery cost on its whole way: from one POST to everybody, to all outcomes recorded on disk?

Real `clarion serve` processes, and nghttpd in place of the push services, over TLS. For each of APNs, FCM and Web Push:
one process on SQLite; on PostgreSQL one process with the API and one worker; for APNs two workers as well. CPU is that
of all our processes together, with their threads and the processes that they start, without the database server. Memory
is what they hold together at most, and how much more that is in the second half of the run than in the first.

Everybody has one device, with a token of its own, and the title is made for each person. Every browser has a key pair
that exists once, made before anything is measured; their endpoints have two origins.
nghttpd answers with files: APNs's tokens are as many names of a few empty ones, FCM's access token is one as well.

Beside it, libraries of others that only send: the same text to devices of the same kind, no database, no decision.
aioapns and @parse/node-apn send to nghttpd; firebase-admin, pywebpush and web-push speak HTTP/1.1, and send to a small
server in Python that takes everything. Each in a process of its own, of which all CPU counts; one that is not installed
is left out, and said so.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from common.nghttpd import FarSide, nghttpd
from common.postgres import postgres
from sending_parts import peers
from sending_parts.ours import Advance, Case, Figures, measure
from sending_parts.services import SERVICES

PEOPLE = 1_000_000
FEWEST = 5_000
TWO_WORKERS_WITH = "apns"

Found = dict[str, float | str]


class Row(NamedTuple):
    """A line of the table: what it is about, and the beginning of its names in JSON."""

    label: str
    prefix: str


class Bench:
    """One far side, one progress bar, and the figures so far."""

    def __init__(self, far: FarSide, people: int, console: Console) -> None:
        self.far = far
        self.people = people
        self.console = console
        self.found: Found = {}
        self.rows: list[Row] = []

    def run(self, label: str, prefix: str, where: str | Path, service: int, workers: int) -> Figures:
        """One case in a folder of its own, which is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="clarion-bench-") as name, self._bar(label) as advance:
            folder = Path(name)
            case = Case(SERVICES[service], where or folder, folder, self.people, workers)
            figures = measure(case, self.far, advance)
        self.rows.append(Row(label, prefix))
        self.found |= {f"{prefix}_{name}": value for name, value in figures._asdict().items()}
        return figures

    @contextmanager
    def _bar(self, label: str) -> Iterator[Advance]:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f}"))
        with Progress(*columns, TimeElapsedColumn(), console=self.console, transient=True) as progress:
            task = progress.add_task(label, total=self.people)
            yield lambda doing, done: progress.update(task, description=f"{label}: {doing}", completed=done)


def everything(bench: Bench, console: Console) -> None:
    """All cases, service by service, so that what is compared is measured in the same minutes."""
    with postgres() as server:
        if server is None:
            console.print("Left out: PostgreSQL is not installed.")
        for number, service in enumerate(SERVICES):
            service.answers(bench.far, bench.people)
            bench.run(f"{service.label}, SQLite", service.kind, "", number, 0)
            if server is None:
                continue
            name = f"pg_{service.kind}"
            one = bench.run(f"{service.label}, PostgreSQL", name, server.create(name), number, 1)
            if service.kind == TWO_WORKERS_WITH:
                label, prefix = f"{service.label}, PostgreSQL, two workers", "two_workers"
                two = bench.run(label, prefix, server.create(prefix), number, 2)
                bench.found["two_workers_cpu_ratio"] = round(two.cpu_us / one.cpu_us, 2)
    bench.found["peak_mb"] = max(float(bench.found[f"{service.kind}_peak_mb"]) for service in SERVICES)


def beside(far: FarSide, scale: float, console: Console) -> Found:
    """The peers' CPU a message."""
    found: Found = {}
    with peers.plain_service(far) as plain, Progress(console=console, transient=True) as progress:
        for peer in progress.track(peers.PEERS, description="libraries of others"):
            if why := peer.missing():
                console.print(f"Left out: {peer.label}: {why}.")
                continue
            found |= {f"{peer.key}_{name}": value for name, value in peers.measure(peer, far, plain, scale).items()}
    return found


def show(bench: Bench, people: int) -> None:
    table = Table(title=f"One POST to {people:,} people")
    table.add_column("from POST to disk", no_wrap=True)
    for heading in ("µs CPU\na delivery", "deliveries\na second", "peak\nMB", "growth\nMB"):
        table.add_column(heading, justify="right")
    for label, prefix in bench.rows:
        row = [float(bench.found[f"{prefix}_{name}"]) for name in Figures._fields]
        table.add_row(label, f"{row[0]:.1f}", f"{row[1]:,.0f}", f"{row[2]:.0f}", f"{row[3]:.0f}")
    table.add_section()
    for peer in peers.PEERS:
        if f"{peer.key}_cpu_us" in bench.found:
            cpu, rate = (float(bench.found[f"{peer.key}_{name}"]) for name in ("cpu_us", "per_s"))
            table.add_row(f"{peer.label}, only sending", f"{cpu:.1f}", f"{rate:,.0f}", "", "")
    console = Console()
    console.print(table)
    if "two_workers_cpu_ratio" in bench.found:
        console.print(f"Two workers take {bench.found['two_workers_cpu_ratio']} times the CPU a delivery of one.")


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
    scale: Annotated[float, typer.Option(help="Share of the 1,000,000 devices.")] = 1.0,
) -> None:
    """CPU, rate and memory of one notification to everybody, by push service and engine."""
    console, people = Console(stderr=True), max(FEWEST, round(PEOPLE * scale))
    with nghttpd() as far:
        os.environ["SSL_CERT_FILE"] = str(far.authority)  # whom our processes trust for endpoints of browsers
        bench = Bench(far, people, console)
        everything(bench, console)
        bench.found |= beside(far, scale, console)
        shutil.rmtree(far.folder)
    if as_json:
        print(json.dumps(bench.found))
    else:
        show(bench, people)


if __name__ == "__main__":
    typer.run(main)
