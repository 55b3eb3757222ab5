"""A durable PostgreSQL for a bench, or none."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from postgres_server import DURABLE, PostgresServer, find_binaries, running_server

# The tests' server makes do with less. With a smaller log, every page would soon be written whole into it again.
DEFAULTS = {"shared_buffers": "128MB", "max_wal_size": "1GB"}


@contextmanager
def postgres() -> Iterator[PostgresServer | None]:
    """A server of our own, with the memory and log that it has by itself; None where PostgreSQL is not installed."""
    binaries = find_binaries()
    if binaries is None:
        yield None
        return
    with running_server(binaries, DURABLE | DEFAULTS) as server:
        yield server
