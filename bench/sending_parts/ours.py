"""Clarion under measurement: a project with its devices, the processes that serve it, one POST, and what it took."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from common.database import Database, opened, seed
from common.nghttpd import FarSide
from fleet.servers import SECRET, Server, clarion
from sending_parts.services import Service

MESSAGE = {
    "to": {"everyone": True},
    "title": "Hello {{ user.first_name }}",
    "body": "Something new is here.",
    "url": "https://shop.example/",
}
_LOOK_S = 0.1
_STUCK_S = 60.0
_API_ROLES = ("api", "scheduler", "gateway")

Advance = Callable[[str, int], None]
"""What is being done, and how many people it is done for."""


class Case(NamedTuple):
    """One measurement. `where`: a new database's URL, or an empty folder; `workers` 0: all in one process."""

    service: Service
    where: str | Path
    folder: Path
    people: int
    workers: int


class Figures(NamedTuple):
    """CPU of all our processes a delivery, deliveries a second, the most memory that they held together.

    `growth_mb`: how much more that was in the last half of the run than in the first, a tenth to warm up left out.
    """

    cpu_us: float
    per_s: float
    peak_mb: float
    growth_mb: float


class Founded(NamedTuple):
    """A project, as `clarion project create` tells of it."""

    id: str
    server_key: str
    vapid_public_key: str


def measure(case: Case, far: FarSide, advance: Advance) -> Figures:
    """From one POST to all outcomes on disk."""
    settings = _settings(case, far)
    project = _project(case, settings)
    with opened(case.where) as database:
        key = database.one("SELECT key FROM project WHERE id = ?", project.id)
        devices = case.service.devices(far, case.people, project.vapid_public_key)
        for there in seed(database, key, case.service.kind, devices, case.people):
            advance("devices", there)
        with _serving(case, settings) as servers:
            call = _Api(servers[0], project)
            if case.service.credential is not None:
                call("POST", "/v1/credentials", case.service.credential(far))
            return _sent(case, database, call, servers, advance)


class _Api:
    """Calls with the project's server key."""

    def __init__(self, server: Server, project: Founded) -> None:
        self._origin = f"http://127.0.0.1:{server.port}"
        self._key = project.server_key

    def __call__(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self._origin + path, data, headers, method=method)  # noqa: S310 - our own server
        try:
            with urllib.request.urlopen(request, timeout=300) as response:  # noqa: S310 - the same
                told: dict[str, Any] = json.load(response)
        except urllib.error.HTTPError as refused:
            raise SystemExit(f"{method} {path}: {refused.read().decode()}") from None
        return told


def _settings(case: Case, far: FarSide) -> dict[str, str]:
    ours = {"APNS_URL": far.origin, "FCM_URL": far.origin, "PROVIDER_CA": str(far.authority)}
    ours |= {"ALLOW_PRIVATE_ENDPOINTS": "on", "SECRET_KEY": SECRET}
    return ours | ({"DATABASE_URL": case.where} if isinstance(case.where, str) else {})


def _project(case: Case, settings: dict[str, str]) -> Founded:
    command = [sys.executable, "-m", "clarion", "project", "create", "Bench", "--json", "--data", str(case.folder)]
    environ = {**os.environ, **{f"CLARION_{name}": value for name, value in settings.items()}}
    made = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)
    told = json.loads(made.stdout)
    return Founded(told["id"], told["server_key"], told["vapid_public_key"])


@contextmanager
def _serving(case: Case, settings: dict[str, str]) -> Iterator[list[Server]]:
    """The one that takes calls first."""
    roles: list[tuple[str, ...]] = [_API_ROLES, *[("worker",)] * case.workers] if case.workers else [()]
    with ExitStack() as stack:
        yield [stack.enter_context(clarion(case.folder, roles=each, **settings)) for each in roles]


def _sent(case: Case, database: Database, call: _Api, servers: list[Server], advance: Advance) -> Figures:
    processes = [server.child.measured for server in servers]
    used, began = _cpu(processes), time.monotonic()
    id = call("POST", "/v1/notifications", MESSAGE)["id"]
    memory = [(done, _resident(processes)) for done in _progress(case, database, advance)]
    used, took = _cpu(processes) - used, time.monotonic() - began
    counts = call("GET", f"/v1/notifications/{id}")["counts"]["deliveries"]
    if counts != {"accepted": case.people}:
        raise SystemExit(f"{case.service.label}: {case.people} deliveries were to be accepted, but there are {counts}")
    first = [size for done, size in memory if 0.1 <= done / case.people < 0.5]
    last = [size for done, size in memory if done / case.people >= 0.5]
    return Figures(
        round(used / case.people * 1e6, 1),
        round(case.people / took),
        round(max(size for _, size in memory) / 2**20, 1),
        round((max(last) - max(first)) / 2**20, 1) if first and last else 0.0,
    )


def _progress(case: Case, database: Database, advance: Advance) -> Iterator[int]:
    """How many outcomes are recorded, until no work is left. It asks little: an index's end, and the rows of `work`."""
    project = database.one("SELECT max(project) FROM notification")
    first = database.one("SELECT min(key) FROM person WHERE project = ?", project)
    notification = database.one("SELECT max(key) FROM notification WHERE project = ?", project)
    decided = "SELECT max(person) FROM delivery WHERE project = ? AND notification = ?"
    moved_at, before = time.monotonic(), -1
    while True:
        left = database.one("SELECT count(*) FROM work WHERE substr(queue, 1, 7) = 'deliver'")
        done = max(0, (database.one(decided, project, notification) or first - 1) - first + 1 - left * 1_000)
        advance("sent", done)
        yield done
        if done >= case.people and not database.one("SELECT count(*) FROM work"):
            return
        if done != before:
            moved_at, before = time.monotonic(), done
        if time.monotonic() - moved_at > _STUCK_S:
            raise SystemExit(f"{case.service.label}: nothing moved for {_STUCK_S:.0f} s, with {done} sent")
        time.sleep(_LOOK_S)


def _cpu(processes: list[psutil.Process]) -> float:
    """Seconds that they computed so far, with the processes that they began."""
    total = 0.0
    for process in processes:
        times = process.cpu_times()
        total += times.user + times.system + times.children_user + times.children_system
        for child in process.children(recursive=True):
            total += sum(child.cpu_times()[:2])
    return total


def _resident(processes: list[psutil.Process]) -> int:
    every = [*processes, *(child for process in processes for child in process.children(recursive=True))]
    return sum(process.memory_info().rss for process in every)
