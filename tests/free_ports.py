"""Ports for what tests start: nobody listens there, and no two tests that run side by side are given the same one."""

import itertools
import os
import random
import socket
from collections.abc import Iterator

HOST = "127.0.0.1"
# Below the range that the system gives to outgoing connections. While a server is away, those who call it again and
# again would otherwise sooner or later be given its very port as their own.
_PORTS = range(20_000, 32_000)
# Between the look at a port and the server on it another worker would look, too: each has a share of its own.
_SHARES = 12


def _of_this_worker() -> Iterator[int]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = _PORTS[worker % _SHARES :: _SHARES]
    return itertools.cycle(random.sample(share, len(share)))


_given = _of_this_worker()


def free_port() -> int:
    """A port of this machine that nobody listens on. It comes up again only after all others have been given."""
    for port in itertools.islice(_given, len(_PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")
