"""What does a small HTTP/2 request cost: our batch client beside libcurl, reqwest, aioapns, httpx and node.

All send the same requests, as a push service gets them, over TLS to one nghttpd (nghttp2's own server) on this machine.
Each figure is of a process of its own: CPU time of all its threads a request, and requests a second, each the median
over rounds in which all clients take turns. The second says as much about the server and the machine.
"""

import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from common.nghttpd import nghttpd
from http2_peers.target import BODY, PATH, SHARED

HERE = Path(__file__).parent
ROUNDS = 3
STREAMS = (10, 100, 200, 1_000)
CONNECTIONS = (1, 2, 4, 8)
MANY = 100
"""Streams from which on the comparison counts: with fewer, it is system calls that cost."""


class Case(NamedTuple):
    """A client: what must be importable for it, and how many requests take about half a second."""

    name: str
    label: str
    needs: str
    requests: int
    connections: tuple[int, ...] = (1, 8)


CASES = (
    Case("clarion", "Clarion", "clarion", 60_000, CONNECTIONS),
    Case("pycurl", "pycurl", "pycurl", 12_000),
    Case("node", "node", "", 8_000),
    Case("pyreqwest", "pyreqwest", "pyreqwest", 8_000),
    Case("aioapns", "aioapns", "aioapns", 2_000, (1,)),
    Case("httpx", r"httpx\[http2]", "httpx", 600, (1,)),
)


class Cell(NamedTuple):
    """One figure's place in the table."""

    case: Case
    streams: int
    connections: int


class Figure(NamedTuple):
    """Microseconds of CPU a request, and requests a second."""

    cpu_us: float
    per_s: float


def missing(case: Case) -> str | None:
    """Why this client is left out."""
    if case.name == "node":
        return None if shutil.which("node") else "node is not in PATH"
    found = importlib.util.find_spec(case.needs) and (case.name != "httpx" or importlib.util.find_spec("h2"))
    return None if found else f"{case.needs} is not installed; it comes with clarion[bench]"


def measure(cell: Cell, port: int, authority: Path, scale: float) -> Figure:
    """One process, one figure."""
    at_once = cell.streams * cell.connections
    count = max(round(cell.case.requests * scale), at_once)
    streams, connections = str(cell.streams), str(cell.connections)
    if cell.case.name == "node":
        what = json.dumps({"path": PATH, "shared": SHARED, "body": BODY.decode()})
        script, origin = str(HERE / "http2_peers" / "node_client.js"), f"https://localhost:{port}"
        command = ["node", script, origin, str(authority), streams, connections, str(count), str(at_once), what]
    else:
        run = [sys.executable, "-m", "http2_peers.run", cell.case.name]
        command = [*run, str(port), str(authority), streams, connections, str(count)]
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise SystemExit(f"{cell.case.name} failed:\n{done.stderr[-2000:]}")
    return Figure(**json.loads(done.stdout.splitlines()[-1]))


def measure_all(cells: list[Cell], scale: float, console: Console) -> dict[Cell, Figure]:
    taken: dict[Cell, list[Figure]] = defaultdict(list)
    rounds = max(1, round(ROUNDS * scale))
    with nghttpd() as service, Progress(console=console, transient=True) as progress:
        service.answer(PATH)  # 200 with an empty body, as APNs answers
        for each in progress.track(cells * rounds, description="HTTP/2 clients"):
            taken[each].append(measure(each, service.port, service.authority, scale))
    return {
        cell: Figure(*(statistics.median(values) for values in zip(*figures, strict=True)))
        for cell, figures in taken.items()
    }


def summary(figures: dict[Cell, Figure]) -> dict[str, float | str]:
    """Means over 100 streams and more on one connection; then each figure by client, streams and connections."""
    compared: dict[str, list[float]] = defaultdict(list)
    for cell, figure in figures.items():
        if cell.streams >= MANY and cell.connections == 1:
            compared[cell.case.name].append(figure.cpu_us)
    means = {name: statistics.mean(values) for name, values in compared.items()}
    ours = means.pop("clarion")
    found: dict[str, float | str] = {"cpu_us": round(ours, 2)}
    if means:
        best = min(means, key=lambda name: means[name])
        found |= {"best_peer": best, "best_peer_cpu_us": round(means[best], 2)}
        found["peer_ratio"] = round(means[best] / ours, 2)
    for (case, streams, connections), figure in figures.items():
        found[f"{case.name}_{streams}x{connections}_us"] = round(figure.cpu_us, 2)
        found[f"{case.name}_{streams}x{connections}_per_s"] = round(figure.per_s)
    return found


def show(figures: dict[Cell, Figure], found: dict[str, float | str]) -> None:
    cases = list(dict.fromkeys(cell.case for cell in figures))
    table = Table("streams x connections", title="µs of CPU a request, requests a second")
    for case in cases:
        table.add_column(case.label, justify="right", no_wrap=True)
    for connections, streams in sorted({(cell.connections, cell.streams) for cell in figures}):
        row = [figures.get(Cell(case, streams, connections)) for case in cases]
        words = [f"{each.cpu_us:,.1f}\n[dim]{each.per_s:,.0f}" if each else "" for each in row]
        table.add_row(f"{streams:,} x {connections}", *words)
    console = Console()
    console.print(table)
    peer = f"; {found['best_peer']} takes {found['peer_ratio']} times that" if "best_peer" in found else ""
    console.print(f"From {MANY} streams on, on one connection: {found['cpu_us']} µs with Clarion{peer}.")


def main(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
    scale: Annotated[float, typer.Option(help="Share of the requests and rounds.")] = 1.0,
) -> None:
    """CPU a request and requests a second of HTTP/2 clients."""
    console = Console(stderr=True)
    for case in CASES:
        if why := missing(case):
            console.print(f"Left out: {case.label}: {why}.")
    cases = [case for case in CASES if not missing(case)]
    cells = [Cell(case, s, c) for s in STREAMS for c in CONNECTIONS for case in cases if c in case.connections]
    figures = measure_all(cells, scale, console)
    found = summary(figures)
    if as_json:
        print(json.dumps(found))
    else:
        show(figures, found)


if __name__ == "__main__":
    typer.run(main)
