"""What costs much to count, remembered for some seconds: many people who look cost one reading."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from clarion.dashboard.services import Services
from clarion.journey.segments.looking import sizes
from clarion.model import DAY_MS, Ended, Key, Millis, Segment
from clarion.ports import Tally

DAYS = 30
MOST = 50_000
"""Rows of each kind that a reading costs at most. A project with more in a month sees the newest of them."""
MEMORY_MS = 10_000
SIZES_MS = 60_000
SIZES_AT_ONCE = 5
PATIENCE_S = 2.0
"""After so long a page shows the sizes that it has; when it is loaded again, the others are counted."""
_MOST_READINGS = 1_000

T = TypeVar("T")


class Recent:
    """One for each process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: dict[tuple[Any, ...], tuple[Millis, Any]] = {}
        self._locks: dict[tuple[Any, ...], asyncio.Lock] = {}

    async def tally(self, project: Key) -> Tally:
        """The sums of the last month, at most ten seconds old."""
        store, since = self._services.store, self._services.clock.now() - DAYS * DAY_MS
        return await self._remembered(("tally", project), MEMORY_MS, lambda: store.tallies.lately(project, since, MOST))

    async def totals(self, project: Key, automations: Sequence[str]) -> dict[str, Mapping[Ended | None, int]]:
        """How many runs of each ended in which way, at most ten seconds old."""
        runs = self._services.store.runs
        return await self._remembered(
            ("totals", project, *automations), MEMORY_MS, lambda: runs.totals(project, automations)
        )

    async def sizes(self, project: Key, segments: Sequence[Segment]) -> dict[str, int]:
        """How many people are in each, at most a minute old, by name; without those that there was no time for."""
        begun, found = time.perf_counter(), dict[str, int]()
        for start in range(0, len(segments), SIZES_AT_ONCE):
            some = segments[start : start + SIZES_AT_ONCE]
            # One that was changed since is another one.
            what = ("sizes", project, msgspec.json.encode(some))
            if time.perf_counter() - begun < PATIENCE_S or self._fresh(what, SIZES_MS) is not None:
                found |= await self._remembered(what, SIZES_MS, partial(self._count, project, some))
        return found

    async def _count(self, project: Key, segments: Sequence[Segment]) -> dict[str, int]:
        services = self._services
        known, now = await services.catalog.segments(project), services.clock.now()
        return await sizes(services.store, project, [one.name for one in segments], known, now)

    async def _remembered(self, what: tuple[Any, ...], ms: Millis, read: Callable[[], Awaitable[T]]) -> T:
        async with self._locks.setdefault(what, asyncio.Lock()):
            known: T | None = self._fresh(what, ms)
            if known is not None:
                return known
            value = await read()
            if len(self._known) >= _MOST_READINGS:
                self._known.clear()
                self._locks.clear()
            self._known[what] = (self._services.clock.now(), value)
            return value

    def _fresh(self, what: tuple[Any, ...], ms: Millis) -> Any:
        known = self._known.get(what)
        return known[1] if known is not None and self._services.clock.now() - known[0] < ms else None
