"""Starts what is measured: `clarion serve`, a gateway with a pusher inside, the peer; and the limit on open files."""

import os
import resource
import socket
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fleet.control import Child

ORIGIN = "http://push.bench"
"""Of push endpoints, whichever process they are posted to."""
SECRET = "the secret of a bench: 32 characters and more"  # noqa: S105 - of servers that live for minutes
WANTED_FILES = 110_000
KEPT_FILES = 1_000
"""Open files left to databases, logs and senders."""


class Server(NamedTuple):
    """A running process: where devices and senders reach it."""

    child: Child
    push_port: int
    port: int = 0


def raise_file_limit() -> int:
    """As many open files a process as the system lets us have; inherited by every process that we start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (WANTED_FILES, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, WANTED_FILES), max(limit, hard)))
        except (ValueError, OSError):
            continue
        return min(limit, WANTED_FILES)
    return soft


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def clarion(folder: Path, roles: Sequence[str] = (), **settings: str) -> Iterator[Server]:
    """`clarion serve`, with all roles unless some are named; `settings` are `CLARION_…` names without the prefix."""
    port, push_port = free_port(), free_port()
    ours = {"LOG_LEVEL": "warning", "RATE_LIMITS": "off", "SECRET_KEY": SECRET, "PUBLIC_ENDPOINT_URL": ORIGIN}
    ours |= {"DATA": str(folder), "PORT": str(port), **settings}
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CLARION_")}
    environ |= {f"CLARION_{name}": value for name, value in ours.items()}
    serve = ["-m", "clarion", "serve", "--push-port", str(push_port), *(f"--role={role}" for role in roles)]
    with _ended(Child(None, *serve, environ=environ)) as child:
        _wait_until_healthy(port)
        yield Server(child, push_port, port)


@contextmanager
def child(module: str, *arguments: str) -> Iterator[Child]:
    """A process of this package."""
    with _ended(Child(module, *arguments)) as started:
        started.answer()
        yield started


@contextmanager
def listening(module: str, *arguments: str) -> Iterator[Server]:
    """A process of this package that devices connect to."""
    port = free_port()
    with child(module, *arguments, str(port)) as started:
        yield Server(started, port)


@contextmanager
def _ended(child: Child) -> Iterator[Child]:
    try:
        yield child
    finally:
        child.end()


def _wait_until_healthy(port: int) -> None:
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")
