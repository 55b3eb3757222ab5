"""Notices that the machine slept or that its network changed: connections from before are dead without a sign."""

import asyncio
import socket
import time
from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

TICK_S = 5.0
_TOLERANCE_S = 10.0
# Addresses for documentation (RFC 5737, RFC 3849): connecting a datagram socket asks for the route and sends nothing.
_PROBES = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))

Addresses = tuple[str | None, ...]


def local_addresses() -> Addresses:
    """The addresses that packets to the world leave from now, None where there is no route."""
    return tuple(_local_address(family, probe) for family, probe in _PROBES)


def _local_address(family: socket.AddressFamily, probe: str) -> str | None:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((probe, 9))
            return str(asking.getsockname()[0])
    except OSError:
        return None


class Surroundings:
    """Calls `changed` after a sleep and after a change of network."""

    def __init__(
        self,
        changed: Callable[[], None],
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        addresses: Callable[[], Addresses] = local_addresses,
    ) -> None:
        self._changed = changed
        self._wall, self._monotonic, self._addresses = wall, monotonic, addresses
        self._seen = wall(), monotonic(), addresses()

    async def watch(self) -> None:
        """Look every few seconds."""
        while True:
            await asyncio.sleep(TICK_S)
            self.look()

    def look(self) -> None:
        """Compare with the look before.

        While a machine sleeps its wall clock goes on; whether the monotonic one does differs from system to system, and
        whichever ran ahead of a tick tells. A clock that was set looks the same and costs one ping.
        """
        wall, monotonic, addresses = self._seen
        self._seen = self._wall(), self._monotonic(), self._addresses()
        away = max(self._seen[0] - wall, self._seen[1] - monotonic) - TICK_S
        if away > _TOLERANCE_S:
            log.info("woke_up", away_s=round(away))
        elif self._seen[2] != addresses:
            log.info("network_changed", online=any(self._seen[2]))
        else:
            return
        self._changed()
