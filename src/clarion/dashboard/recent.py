"""The sums of the last month, remembered for some seconds: many people who look cost one reading."""

import asyncio

from clarion.dashboard.services import Services
from clarion.model import DAY_MS, Key, Millis
from clarion.ports import Tally

DAYS = 30
MOST = 50_000
"""Rows of each kind that a reading costs at most. A project with more in a month sees the newest of them."""
MEMORY_MS = 10_000
_MOST_PROJECTS = 1_000


class Recent:
    """One for each process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: dict[Key, tuple[Millis, Tally]] = {}
        self._locks: dict[Key, asyncio.Lock] = {}

    async def tally(self, project: Key) -> Tally:
        """Of the last month, at most ten seconds old."""
        async with self._locks.setdefault(project, asyncio.Lock()):
            now = self._services.clock.now()
            known = self._known.get(project)
            if known is not None and now - known[0] < MEMORY_MS:
                return known[1]
            tally = await self._services.store.tallies.lately(project, now - DAYS * DAY_MS, MOST)
            if len(self._known) >= _MOST_PROJECTS:
                self._known.clear()
                self._locks.clear()
            self._known[project] = (now, tally)
            return tally
